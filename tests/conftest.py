"""Fixtures for every test."""

from collections.abc import Iterator

import pytest
from tests.support.control_plane import ControlPlane, run_control_plane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real kube-apiserver with its etcd; started once, when the first test asks for it."""
    with run_control_plane() as running:
        yield running
