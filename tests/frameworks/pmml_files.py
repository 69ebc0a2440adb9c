"""PMML of fitted scikit-learn models, written by hand: every number as it is in the model."""

from __future__ import annotations

from typing import Any


def tree_pmml(tree: Any, names: list[str]) -> str:
    """A DecisionTreeClassifier with outputs `label` and `probability_<class>`."""
    nodes = tree.tree_
    classes = [int(label) for label in tree.classes_]

    def node(index: int, predicate: str) -> str:
        shares = [float(value) for value in nodes.value[index][0]]
        text = f'<Node id="{index}" score="{classes[shares.index(max(shares))]}">{predicate}'
        for label, share in zip(classes, shares, strict=True):
            text += f'<ScoreDistribution value="{label}" recordCount="{share!r}" confidence="{share!r}"/>'
        if nodes.children_left[index] >= 0:
            field, value = names[nodes.feature[index]], repr(float(nodes.threshold[index]))
            for child, operator in ((nodes.children_left, "lessOrEqual"), (nodes.children_right, "greaterThan")):
                test = f'<SimplePredicate field="{field}" operator="{operator}" value="{value}"/>'
                text += node(child[index], test)
        return text + "</Node>"

    values = "".join(f'<Value value="{label}"/>' for label in classes)
    target = f'<DataField name="y" optype="categorical" dataType="integer">{values}</DataField>'
    outputs = '<OutputField name="label" optype="categorical" dataType="integer" feature="predictedValue"/>' + "".join(
        f'<OutputField name="probability_{label}" optype="continuous" dataType="double" feature="probability" '
        f'value="{label}"/>'
        for label in classes
    )
    body = f"{_schema(names)}<Output>{outputs}</Output>{node(0, '<True/>')}"
    return _document(names, target, f'<TreeModel functionName="classification">{body}</TreeModel>')


def linear_pmml(model: Any, names: list[str]) -> str:
    """A LinearRegression; PMML4S calls its output `predicted_y`."""
    terms = "".join(
        f'<NumericPredictor name="{name}" coefficient="{float(coefficient)!r}"/>'
        for name, coefficient in zip(names, model.coef_, strict=True)
    )
    table = f'<RegressionTable intercept="{float(model.intercept_)!r}">{terms}</RegressionTable>'
    target = '<DataField name="y" optype="continuous" dataType="double"/>'
    body = f'<RegressionModel functionName="regression">{_schema(names)}{table}</RegressionModel>'
    return _document(names, target, body)


def colour_pmml() -> str:
    """A model of one string and one number: red is 1, anything else 0."""
    fields = '<DataField name="colour" optype="categorical" dataType="string"/>'
    target = (
        '<DataField name="y" optype="categorical" dataType="integer"><Value value="0"/><Value value="1"/></DataField>'
    )
    test = '<SimplePredicate field="colour" operator="equal" value="red"/>'
    tree = f'<Node score="0"><True/><Node score="1">{test}</Node><Node score="0"><True/></Node></Node>'
    body = f'<TreeModel functionName="classification">{_schema(["colour", "size"])}{tree}</TreeModel>'
    return _document(["size"], fields + target, body)


def _schema(names: list[str]) -> str:
    fields = "".join(f'<MiningField name="{name}"/>' for name in names)
    return f'<MiningSchema>{fields}<MiningField name="y" usageType="target"/></MiningSchema>'


def _document(numbers: list[str], others: str, body: str) -> str:
    fields = "".join(f'<DataField name="{name}" optype="continuous" dataType="double"/>' for name in numbers)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/>'
        f"<DataDictionary>{fields}{others}</DataDictionary>{body}</PMML>"
    )
