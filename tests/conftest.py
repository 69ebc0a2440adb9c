"""Fixtures for every test."""

import inspect
import signal
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.support.control_plane import ControlPlane, run_control_plane
from tests.support.serving_api import ServingApi


def pytest_configure() -> None:
    """End as after Ctrl-C when told to end, so that no fixture leaves its processes behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    be_patient()


def be_patient() -> None:
    """A machine that stands still for some seconds is no reason to fail."""
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
    # What all of httpx's clients and functions have by default is one object; as shipped, it says 5 s.
    limits: httpx.Timeout = inspect.signature(httpx.Client).parameters["timeout"].default
    limits.connect = limits.read = limits.write = limits.pool = 60


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
