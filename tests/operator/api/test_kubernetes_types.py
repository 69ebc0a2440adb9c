"""The table of Kubernetes' types against a real API server's own description."""

from haizen_operator.api.kubernetes_types import kubernetes_types
from tests.support.control_plane import ControlPlane
from tests.support.kubernetes_openapi import OPENAPI_PATH, read_types


def test_the_table_says_what_the_api_server_says(control_plane: ControlPlane) -> None:
    """When this fails after an upgrade of Kubernetes: ``python -m tests.support.kubernetes_openapi``."""
    with control_plane.client() as client:
        openapi = client.get(OPENAPI_PATH).json()

    assert kubernetes_types() == read_types(openapi)
