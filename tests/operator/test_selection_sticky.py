"""A choice once made stays until the model asks for something else."""

from typing import Any

import pytest

from haizen_operator.api import ClusterServingRuntime, InferenceService
from haizen_operator.selection import PinnedRuntime, RuntimeChoice, SelectionError, pinned_runtime, select_runtime


def runtime(name: str, priority: int, **spec: Any) -> ClusterServingRuntime:
    formats = [{"name": "sklearn", "version": version, "autoSelect": True, "priority": priority} for version in "01"]
    containers = [{"name": "kserve-container", "image": "x:1"}]
    return ClusterServingRuntime.from_manifest(
        {
            "metadata": {"name": name},
            "spec": {
                "supportedModelFormats": formats,
                "protocolVersions": ["v1", "v2"],
                "containers": containers,
                **spec,
            },
        }
    )


def service(version: str | None = None, **model: Any) -> InferenceService:
    predictor = {"model": {"modelFormat": {"name": "sklearn", "version": version}, **model}}
    return InferenceService.from_manifest({"metadata": {"name": "iris"}, "spec": {"predictor": predictor}})


OLD, NEW = runtime("old", 1), runtime("new", 9)


def pin(isvc: InferenceService) -> PinnedRuntime:
    """What is remembered after ``isvc`` was served by the old runtime."""
    made = select_runtime(isvc, [], [OLD])
    pinned = pinned_runtime({"clusterServingRuntimeName": made.name}, made.choice.to_annotation())
    assert pinned is not None
    return pinned


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(service(), service(), "old", id="nothing-changed"),
        pytest.param(service(storageUri="s3://a"), service(storageUri="s3://b"), "old", id="new-model-files"),
        pytest.param(service(), service(args=["--x"]), "old", id="new-arguments"),
        pytest.param(service(), service(version="1"), "new", id="version"),
        pytest.param(service(), service(protocolVersion="v2"), "new", id="protocol"),
        pytest.param(service(runtime="old"), service(), "new", id="runtime-no-longer-named"),
        pytest.param(service(), service(runtime="new"), "new", id="runtime-named"),
    ],
)
def test_a_new_runtime_is_taken_only_when_the_model_changes(
    before: InferenceService, after: InferenceService, expected: str
) -> None:
    assert select_runtime(after, [], [OLD, NEW], pin(before)).name == expected


@pytest.mark.parametrize(
    ("runtimes", "expected"),
    [
        pytest.param([NEW], "new", id="deleted"),
        pytest.param([runtime("old", 1, disabled=True), NEW], "new", id="disabled"),
        pytest.param([runtime("old", 1, protocolVersions=["v2"]), NEW], "new", id="no-longer-speaks-the-protocol"),
        pytest.param(
            [runtime("old", 1, supportedModelFormats=[{"name": "sklearn"}]), NEW],
            "old",
            id="merely-no-longer-auto-selected",
        ),
    ],
)
def test_a_runtime_that_cannot_serve_any_more_is_given_up(runtimes: list[ClusterServingRuntime], expected: str) -> None:
    assert select_runtime(service(), [], runtimes, pin(service())).name == expected


def test_without_a_record_the_runtime_in_use_is_kept() -> None:
    assert select_runtime(service(), [], [OLD, NEW], PinnedRuntime("ClusterServingRuntime", "old")).name == "old"


def test_a_kept_choice_records_the_same_annotation() -> None:
    first = select_runtime(service(), [], [OLD])
    again = select_runtime(service(), [], [OLD, NEW], pin(service()))
    assert again.choice.to_annotation() == first.choice.to_annotation()


def test_no_runtime_left_is_an_error() -> None:
    with pytest.raises(SelectionError, match="No runtime found"):
        select_runtime(service(), [], [runtime("old", 1, disabled=True)], pin(service()))


CHOICE = RuntimeChoice("ClusterServingRuntime", "old", "sklearn", None, None, None)


@pytest.mark.parametrize(
    ("status", "annotation", "expected"),
    [
        pytest.param({}, None, None, id="nothing-known"),
        pytest.param({"servingRuntimeName": "a"}, None, PinnedRuntime("ServingRuntime", "a"), id="from-kserve"),
        pytest.param(
            {"clusterServingRuntimeName": "old"},
            CHOICE.to_annotation(),
            PinnedRuntime("ClusterServingRuntime", "old", CHOICE),
            id="both",
        ),
        pytest.param(
            {}, CHOICE.to_annotation(), PinnedRuntime("ClusterServingRuntime", "old", CHOICE), id="status-lost"
        ),
        pytest.param(
            {"servingRuntimeName": "old"},
            CHOICE.to_annotation(),
            PinnedRuntime("ServingRuntime", "old"),
            id="status-wins",
        ),
        pytest.param(
            {"servingRuntimeName": "a"}, "{broken", PinnedRuntime("ServingRuntime", "a"), id="broken-annotation"
        ),
        pytest.param({}, '{"unknown": 1}', None, id="annotation-of-another-release"),
    ],
)
def test_what_is_remembered(status: dict[str, str], annotation: str | None, expected: PinnedRuntime | None) -> None:
    assert pinned_runtime(status, annotation) == expected
