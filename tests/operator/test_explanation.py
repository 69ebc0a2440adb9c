"""What a condition says when no runtime serves a model."""

from typing import Any

import pytest

from haizen_operator.api import ClusterServingRuntime, InferenceService
from haizen_operator.explanation import explain
from haizen_operator.selection import SelectionError, select_runtime

Manifest = dict[str, Any]


def runtime(name: str, *formats: Manifest, **spec: Any) -> ClusterServingRuntime:
    return ClusterServingRuntime.from_manifest(
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "ClusterServingRuntime",
            "metadata": {"name": name},
            "spec": {
                "supportedModelFormats": list(formats),
                "containers": [{"name": "kserve-container", "image": "i"}],
                **spec,
            },
        }
    )


def clay(**more: Any) -> Manifest:
    return {"name": "clay", "version": "1", "autoSelect": True, **more}


OTHERS = [runtime(f"other-{number}", {"name": "wax", "autoSelect": True}) for number in range(6)]


@pytest.mark.parametrize(
    ("model", "runtimes", "message"),
    [
        pytest.param(
            {"version": "2"},
            [*OTHERS, runtime("old", clay()), runtime("quiet", clay(version="2", autoSelect=False))],
            "No runtime found to support specified framework/version: clay:2 is asked for. "
            "ClusterServingRuntime quiet: it loads clay:2 but is not to be chosen by itself (autoSelect is not true); "
            "name it in model.runtime; ClusterServingRuntime old: it does not load clay:2 (it loads: clay:1); "
            "ClusterServingRuntime other-0: it does not load clay:2 (it loads: wax); and 5 more",
            id="the nearest three",
        ),
        pytest.param(
            {},
            [runtime("off", clay(), disabled=True), runtime("other", {"name": "wax"})],
            "No runtime found to support specified framework/version: clay is asked for. "
            "ClusterServingRuntime other: it does not load clay (it loads: wax); "
            "ClusterServingRuntime off: it is disabled",
            id="few",
        ),
        pytest.param(
            {},
            [],
            "No runtime found to support specified framework/version: clay is asked for, "
            "and there are no runtimes at all",
            id="none",
        ),
        pytest.param(
            {"runtime": "mine"},
            OTHERS,
            "Waiting for runtime to become available: predictor.model.runtime names mine, and there is no "
            "ServingRuntime in namespace ml and no ClusterServingRuntime of that name",
            id="a name that nothing has",
        ),
        pytest.param(
            {"runtime": "mine", "protocolVersion": "v2"},
            [*OTHERS, runtime("mine", clay(), protocolVersions=["v1"])],
            "Specified runtime does not support specified protocol version: "
            "predictor.model.runtime names ClusterServingRuntime mine for clay over v2",
            id="the one that is named",
        ),
    ],
)
def test_message_is_short_and_names_what_matters(
    model: Manifest, runtimes: list[ClusterServingRuntime], message: str
) -> None:
    asked = dict(model)
    version = {"version": asked.pop("version")} if "version" in asked else {}
    isvc = InferenceService.from_manifest(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "x", "namespace": "ml"},
            "spec": {"predictor": {"model": {"modelFormat": {"name": "clay", **version}, **asked}}},
        }
    )
    with pytest.raises(SelectionError) as caught:
        select_runtime(isvc, [], runtimes)
    assert explain(isvc, caught.value) == message
