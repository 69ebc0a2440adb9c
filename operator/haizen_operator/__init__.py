"""haizen-operator: reconciles InferenceService resources into Knative Services."""
