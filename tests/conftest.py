"""Fixtures for every test."""

import signal
from collections.abc import Iterator

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings

from tests.support.control_plane import ControlPlane, run_control_plane
from tests.support.serving_api import ServingApi

# A machine that stalls is no reason to fail: without this, an example that takes 0.2 s is one. Every run of a commit
# tries the same examples; `--hypothesis-profile=default` looks for new ones.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.load_profile("patient")

# httpx waits five seconds where a call names no time; what never answers is for the limit of the test.
DEFAULT_TIMEOUT_CONFIG.connect = DEFAULT_TIMEOUT_CONFIG.pool = 60.0
DEFAULT_TIMEOUT_CONFIG.read = DEFAULT_TIMEOUT_CONFIG.write = 60.0


def pytest_configure() -> None:
    """End as after Ctrl-C when told to end, so that no fixture leaves its processes behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real kube-apiserver with its etcd; started once, when the first test asks for it."""
    with run_control_plane() as running:
        yield running


@pytest.fixture(scope="session")
def serving_api(control_plane: ControlPlane) -> Iterator[ServingApi]:
    """The API server with our CRDs installed."""
    with control_plane.client() as client:
        api = ServingApi(client)
        api.install_crds()
        yield api
