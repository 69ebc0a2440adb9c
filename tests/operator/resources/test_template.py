"""Placeholders: what they become, and what is said about unknown ones."""

from typing import Any

import pytest

from haizen_operator.api import ObjectMeta
from haizen_operator.resources.template import TemplateError, fill_placeholders

METADATA = ObjectMeta.from_manifest(
    {
        "name": "iris",
        "namespace": "flowers",
        "labels": {"team": "a", "app.kubernetes.io/name": "x"},
        "annotations": {"modelFormat": "sklearn"},
    }
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("--model_name={{.Name}}", "--model_name=iris", id="name"),
        pytest.param("{{ .Name }}", "iris", id="spaces"),
        pytest.param("{{.Namespace}}/{{.Name}}", "flowers/iris", id="two"),
        pytest.param("{{.Labels.team}}", "a", id="label"),
        pytest.param("--framework={{.Annotations.modelFormat}}", "--framework=sklearn", id="annotation"),
        pytest.param('{{index .Labels "app.kubernetes.io/name"}}', "x", id="index"),
        pytest.param("a {{- .Name -}} b", "airisb", id="trim-markers"),
        pytest.param("{{/* a note */}}x", "x", id="comment"),
        pytest.param("{not a placeholder}", "{not a placeholder}", id="single-braces"),
        pytest.param({"{{.Name}}": [1, "{{.Name}}", None, True]}, {"iris": [1, "iris", None, True]}, id="nested"),
    ],
)
def test_filled(value: Any, expected: Any) -> None:
    assert fill_placeholders(value, METADATA, "c") == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("{{.Foo}}", r"c: unknown placeholder \{\{.Foo\}\}; use one of \{\{.Name\}\}", id="unknown-field"),
        pytest.param(
            {"args": ["{{.Labels.x}}"]},
            r"c.args\[0\]: .* needs the label 'x', which InferenceService iris does not have",
            id="missing-label",
        ),
        pytest.param("{{.Annotations.x}}", "needs the annotation 'x'", id="missing-annotation"),
        pytest.param("{{.Name", "has no closing", id="not-closed"),
        pytest.param("{{if .Name}}", "unknown placeholder", id="other-templating"),
        pytest.param("{{.Labels}}", "unknown placeholder", id="a-whole-map"),
    ],
)
def test_refused(value: Any, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        fill_placeholders(value, METADATA, "c")
