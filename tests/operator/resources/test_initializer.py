"""An upgrade of haizen alone makes no new revision of a service with our downloader."""

from typing import Any

import pytest

from haizen_operator.api import ClusterServingRuntime, InferenceService
from haizen_operator.config import OperatorConfig
from haizen_operator.resources import keep_running_initializer, make_predictor_service
from haizen_operator.selection import select_runtime

RUNTIME = ClusterServingRuntime.from_manifest(
    {
        "metadata": {"name": "foreign"},
        "spec": {
            "supportedModelFormats": [{"name": "x", "autoSelect": True}],
            "containers": [{"name": "kserve-container", "image": "server:1"}],
        },
    }
)


def service(image: str, uri: str = "s3://b/m") -> dict[str, Any]:
    model = {"modelFormat": {"name": "x"}, "storageUri": uri}
    isvc = InferenceService.from_manifest({"metadata": {"name": "iris"}, "spec": {"predictor": {"model": model}}})
    return make_predictor_service(isvc, select_runtime(isvc, [], [RUNTIME]), OperatorConfig(runtime_image=image))


def without_hash(live: dict[str, Any]) -> dict[str, Any]:
    live["spec"]["template"]["metadata"]["annotations"].pop("haizen.dev/template-hash")
    return live


@pytest.mark.parametrize(
    ("wanted", "live", "expected"),
    [
        pytest.param(service("haizen:2"), service("haizen:1"), service("haizen:1"), id="only-the-image-is-new"),
        pytest.param(service("haizen:1"), service("haizen:1"), service("haizen:1"), id="nothing-is-new"),
        pytest.param(
            service("haizen:2", "s3://b/n"), service("haizen:1"), service("haizen:2", "s3://b/n"), id="a-model"
        ),
        pytest.param(service("haizen:2"), None, service("haizen:2"), id="not-there-yet"),
        pytest.param(service("haizen:2"), without_hash(service("haizen:1")), service("haizen:2"), id="not-ours"),
        pytest.param(
            service("haizen:2", "pvc://c"), service("haizen:1"), service("haizen:2", "pvc://c"), id="no-download"
        ),
    ],
)
def test_image_of_a_running_service(
    wanted: dict[str, Any], live: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    assert keep_running_initializer(wanted, live) == expected
