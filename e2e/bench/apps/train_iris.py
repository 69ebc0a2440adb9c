"""`train_iris.py FILE`: scikit-learn's logistic regression on iris, written by the same library that will read it."""

import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

if __name__ == "__main__":
    features, classes = load_iris(return_X_y=True)
    joblib.dump(LogisticRegression(max_iter=1000).fit(features, classes), sys.argv[1])
