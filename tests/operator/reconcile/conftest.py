"""A cluster with the operator's CRDs, and the operator itself, for tests against a real API server."""

from collections.abc import Generator, Iterator
from itertools import count

import pytest

from tests.operator.reconcile.cluster_world import World, world_of
from tests.operator.reconcile.operator_process import OperatorProcess, run_operator
from tests.operator.reconcile.toy_knative import ToyKnative
from tests.support.control_plane import ControlPlane

_numbers = count(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the operator's log beside a failure."""
    report = yield
    running = getattr(item, "funcargs", {}).get("operator")
    if report.when == "call" and report.failed and running is not None:
        report.sections.append(("the operator's log", running.text()[-8000:]))
    return report


@pytest.fixture(scope="session")
def world(control_plane: ControlPlane) -> Iterator[World]:
    """The cluster with all CRDs."""
    yield from world_of(control_plane)


@pytest.fixture
def namespace(world: World) -> str:
    """A namespace of the test's own."""
    return world.namespace(f"test-{next(_numbers)}")


@pytest.fixture(scope="module")
def operator(world: World, control_plane: ControlPlane) -> Iterator[OperatorProcess]:
    """The operator beside a toy Knative, for all tests of a module."""
    lease_name = f"module-{next(_numbers)}"  # the last module's operator was killed and has left its Lease
    with ToyKnative(control_plane), run_operator(control_plane.kubeconfig, lease_name=lease_name) as running:
        yield running
