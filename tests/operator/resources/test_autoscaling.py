"""The autoscaler's annotations, row by row."""

from typing import Any

import pytest

from haizen_operator.api import ComponentSpec
from haizen_operator.resources.autoscaling import autoscaling_annotations, dropped_initial_scale

P = "autoscaling.knative.dev/"
BASE = {f"{P}class": "kpa.autoscaling.knative.dev", f"{P}min-scale": "1"}


@pytest.mark.parametrize(
    ("fields", "annotations", "expected"),
    [
        pytest.param({}, {}, BASE, id="defaults"),
        pytest.param({"minReplicas": 0}, {}, BASE | {f"{P}min-scale": "0"}, id="to-zero"),
        pytest.param({"minReplicas": 1, "maxReplicas": 3}, {}, BASE | {f"{P}max-scale": "3"}, id="max"),
        pytest.param({"maxReplicas": 0}, {}, BASE, id="zero-is-no-limit"),
        pytest.param(
            {"scaleTarget": 5, "scaleMetric": "rps"},
            {},
            BASE | {f"{P}target": "5", f"{P}metric": "rps"},
            id="target-and-metric",
        ),
        pytest.param(
            {"scaleTarget": 5}, {f"{P}target": "9"}, BASE | {f"{P}target": "5"}, id="field-wins-over-annotation"
        ),
        pytest.param(
            {},
            {f"{P}target": "9", f"{P}window": "30s"},
            BASE | {f"{P}target": "9", f"{P}window": "30s"},
            id="annotations-pass",
        ),
        pytest.param(
            {},
            {f"{P}class": "hpa.autoscaling.knative.dev"},
            BASE | {f"{P}class": "hpa.autoscaling.knative.dev"},
            id="class-by-annotation",
        ),
        pytest.param({}, {f"{P}min-scale": "7", f"{P}max-scale": "8"}, BASE, id="scale-comes-from-fields-only"),
        pytest.param({}, {f"{P}initial-scale": "3"}, BASE | {f"{P}initial-scale": "3"}, id="initial-scale"),
        pytest.param({}, {f"{P}initial-scale": "0"}, BASE, id="initial-scale-0-is-dropped"),
        pytest.param({}, {f"{P}initial-scale": "x"}, BASE, id="initial-scale-no-number-is-dropped"),
        pytest.param({}, {"other": "x"}, BASE, id="other-annotations-are-not-its-business"),
    ],
)
def test_annotations(fields: dict[str, Any], annotations: dict[str, str], expected: dict[str, str]) -> None:
    component = ComponentSpec.from_manifest(fields)
    assert autoscaling_annotations(component, annotations, allow_zero_initial_scale=False) == expected


def test_initial_scale_zero_where_knative_allows_it() -> None:
    found = autoscaling_annotations(ComponentSpec(), {f"{P}initial-scale": "0"}, allow_zero_initial_scale=True)
    assert found[f"{P}initial-scale"] == "0"


@pytest.mark.parametrize(
    ("value", "allowed", "words"),
    [
        (None, False, None),
        ("0", True, None),
        ("2", False, None),
        ("0", False, "allow-zero-initial-scale"),
        ("a", True, "whole number"),
    ],
)
def test_why_initial_scale_is_dropped(value: str | None, allowed: bool, words: str | None) -> None:
    annotations = {} if value is None else {f"{P}initial-scale": value}
    why = dropped_initial_scale(annotations, allow_zero_initial_scale=allowed)
    assert (why is None) if words is None else (why is not None and words in why)
