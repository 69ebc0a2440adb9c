"""The operator under faults: killed, frozen, refused, cut off; and what it must look like afterwards."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from haizen_operator.api.crd import KINDS, crd
from haizen_operator.kinds import INFERENCE_SERVICE, KNATIVE_SERVICE, LEASE
from tests.operator.reconcile.cluster_world import CRDS, World, inference_service, knative_crd, wait_for
from tests.operator.reconcile.fault_proxy import WRITING, Fault, run_fault_proxy
from tests.operator.reconcile.operator_process import OperatorProcess, run_operator
from tests.operator.reconcile.toy_knative import ToyKnative
from tests.support.control_plane import ControlPlane


@contextmanager
def run_leader(control_plane: ControlPlane, lease_name: str) -> Iterator[OperatorProcess]:
    """An operator that leads before anybody else is started."""
    with run_operator(control_plane.kubeconfig, lease_name=lease_name) as running:
        wait_for(lambda: running.metric("haizen_operator_leader") == 1, "it leads")
        yield running


def test_edit_while_the_operator_is_down(world: World, control_plane: ControlPlane, namespace: str) -> None:
    with ToyKnative(control_plane):
        with run_operator(control_plane.kubeconfig, lease_name=namespace) as operator:
            world.create(INFERENCE_SERVICE, inference_service("down", namespace))
            world.wait_ready("down", namespace)
            operator.kill()
        world.delete_lease(namespace)
        world.merge(INFERENCE_SERVICE, "down", namespace, {"spec": {"predictor": {"timeout": 17}}})
        with run_operator(control_plane.kubeconfig, lease_name=namespace) as operator:

            def applied() -> bool:
                return world.wait_service("down", namespace)["spec"]["template"]["spec"].get("timeoutSeconds") == 17

            wait_for(applied, operator.text)
            world.wait_ready("down", namespace)


@pytest.mark.parametrize("after", range(1, 7))
def test_killed_after_the_nth_write(
    world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path, after: int
) -> None:
    """A create and a canary; the operator dies right after its n-th write and is started again: the same end state."""
    counted: Counter[str] = Counter()
    world.install_runtimes()
    with ToyKnative(control_plane), run_fault_proxy(control_plane, tmp_path) as proxy:
        with run_operator(proxy.kubeconfig, lease_name=namespace, install_builtin_runtimes="false") as operator:

            def count(method: str, path: str) -> None:
                if "/leases" not in path:
                    counted["writes"] += 1
                    if counted["writes"] == after:
                        operator.process.kill()

            proxy.after_write = count
            world.create(INFERENCE_SERVICE, inference_service("phoenix", namespace))
            wait_for(lambda: operator.process.poll() is not None or _is_ready(world, "phoenix", namespace), "a death")
            edit = {"spec": {"predictor": {"canaryTrafficPercent": 20, "timeout": 9}}}
            if operator.process.poll() is None:
                world.merge(INFERENCE_SERVICE, "phoenix", namespace, edit)
                wait_for(lambda: operator.process.poll() is not None, lambda: f"a death: {counted} {operator.text()}")
            else:
                edit["spec"]["predictor"]["timeout"] = 10
        proxy.after_write = lambda method, path: None
        world.delete_lease(namespace)
        with run_operator(proxy.kubeconfig, lease_name=namespace, install_builtin_runtimes="false") as operator:
            world.wait_ready("phoenix", namespace)
            world.merge(INFERENCE_SERVICE, "phoenix", namespace, edit)

            def split() -> bool:
                traffic = world.wait_service("phoenix", namespace)["spec"]["traffic"]
                ends = [(it.get("revisionName"), it["percent"]) for it in traffic]
                return ends == [(None, 20), ("phoenix-predictor-00001", 80)]

            wait_for(split, lambda: f"{world.service('phoenix', namespace)}\n{operator.text()}")
            world.wait_ready("phoenix", namespace)
            names = [it["metadata"]["name"] for it in world.find(KNATIVE_SERVICE, namespace)]
            assert names == ["phoenix-predictor"]


def test_one_of_two_leads_and_the_other_takes_over(world: World, control_plane: ControlPlane, namespace: str) -> None:
    with (
        ToyKnative(control_plane),
        run_leader(control_plane, namespace) as first,
        run_operator(control_plane.kubeconfig, lease_name=namespace) as second,
    ):
        assert second.metric("haizen_operator_leader") == 0
        world.create(INFERENCE_SERVICE, inference_service("two", namespace))
        world.wait_ready("two", namespace)
        assert second.writes() == 0
        assert second.probe("/healthz").status_code == 200
        assert second.probe("/readyz").status_code == 200
        assert first.terminate() == 0
        lease = world.get(LEASE, namespace, "haizen-system")
        assert lease is not None
        wait_for(lambda: second.metric("haizen_operator_leader") == 1, "the second leads")
        world.merge(INFERENCE_SERVICE, "two", namespace, {"spec": {"predictor": {"timeout": 5}}})

        def applied() -> bool:
            return world.wait_service("two", namespace)["spec"]["template"]["spec"].get("timeoutSeconds") == 5

        wait_for(applied, second.text)


def test_frozen_leader_gives_up_when_it_wakes(world: World, control_plane: ControlPlane, namespace: str) -> None:
    with (
        run_leader(control_plane, namespace) as first,
        run_operator(control_plane.kubeconfig, lease_name=namespace) as second,
    ):
        first.signal(signal.SIGSTOP)
        wait_for(lambda: second.metric("haizen_operator_leader") == 1, "the second takes over")
        first.signal(signal.SIGCONT)
        wait_for(lambda: first.process.poll() is not None, "the first exits")
        assert first.process.returncode == 3


def test_crds_that_come_later(world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    for kind in KINDS:
        _uninstall(world, crd(kind)["metadata"]["name"])
    for plural in ("services", "revisions"):
        _uninstall(world, f"{plural}.serving.knative.dev")
    watched: set[str] = set()
    with (
        ToyKnative(control_plane),
        run_fault_proxy(control_plane, tmp_path) as proxy,
        run_operator(proxy.kubeconfig, lease_name=namespace) as operator,
    ):

        def note(method: str, path: str) -> None:
            if "watch=true" in path:
                watched.add(path.split("?")[0])

        proxy.decide = note
        assert operator.probe("/healthz").status_code == 200
        world.install_ours()
        world.create(INFERENCE_SERVICE, inference_service("early", namespace))
        condition = world.wait_reason("early", namespace, "KnativeNotInstalled")
        assert "Knative Serving is not installed" in condition["message"]
        world.install(knative_crd("services", "Service"))
        world.install(knative_crd("revisions", "Revision"))
        world.wait_ready("early", namespace)
        wait_for(lambda: KNATIVE_SERVICE.path() in watched, "Knative Services are watched")
        world.delete(KNATIVE_SERVICE, "early-predictor", namespace)
        wait_for(lambda: ("Warning", "KnativeServiceRecreated") in world.events(namespace), operator.text)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(409), id="conflict"),
        pytest.param(Fault(500), id="internal error"),
        pytest.param(Fault(503), id="unavailable"),
        pytest.param(Fault(429, {"Retry-After": "1"}), id="too many requests"),
        pytest.param(Fault(504, body="gateway timeout"), id="no JSON"),
    ],
)
def test_writes_that_fail_for_a_while(
    world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path, fault: Fault
) -> None:
    """The first eight writes of every kind are refused; then all is as if nothing had been."""
    refused: Counter[str] = Counter()
    world.install_runtimes()
    with ToyKnative(control_plane), run_fault_proxy(control_plane, tmp_path) as proxy:

        def decide(method: str, path: str) -> Fault | None:
            what = path.split("?")[0]
            if method in WRITING and "/leases" not in path and refused[what] < 8:
                refused[what] += 1
                return fault
            return None

        with run_operator(proxy.kubeconfig, lease_name=namespace) as operator:
            proxy.decide = decide
            world.create(INFERENCE_SERVICE, inference_service("patient", namespace))
            world.wait_ready("patient", namespace)
            assert operator.process.poll() is None


def test_everything_refused_for_a_while(
    world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """All requests but the Lease's fail and every watch is cut; afterwards an edit is carried out."""
    with (
        ToyKnative(control_plane),
        run_fault_proxy(control_plane, tmp_path) as proxy,
        run_operator(proxy.kubeconfig, lease_name=namespace) as operator,
    ):
        world.create(INFERENCE_SERVICE, inference_service("storm", namespace))
        world.wait_ready("storm", namespace)
        proxy.decide = lambda method, path: None if "/leases" in path else Fault(503)
        proxy.drop_watches()
        time.sleep(5.0)
        assert operator.probe("/healthz").status_code == 200
        world.merge(INFERENCE_SERVICE, "storm", namespace, {"spec": {"predictor": {"timeout": 8}}})
        proxy.decide = lambda method, path: None

        def applied() -> bool:
            return world.wait_service("storm", namespace)["spec"]["template"]["spec"].get("timeoutSeconds") == 8

        wait_for(applied, operator.text)


def test_frozen_watch_is_opened_anew(world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    with (
        ToyKnative(control_plane),
        run_fault_proxy(control_plane, tmp_path) as proxy,
        run_operator(proxy.kubeconfig, lease_name=namespace, watch_inactivity_seconds="3") as operator,
    ):
        world.create(INFERENCE_SERVICE, inference_service("ice", namespace))
        world.wait_ready("ice", namespace)
        proxy.frozen.set()
        world.merge(INFERENCE_SERVICE, "ice", namespace, {"spec": {"predictor": {"timeout": 7}}})
        time.sleep(1.0)
        proxy.frozen.clear()
        proxy.drop_watches()

        def applied() -> bool:
            return world.wait_service("ice", namespace)["spec"]["template"]["spec"].get("timeoutSeconds") == 7

        wait_for(applied, operator.text)


def test_watch_that_is_refused_shows(world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """A right that is missing: the probes, the metrics and the log name the kind; a restart would not help."""
    services = KNATIVE_SERVICE.path()
    with (
        run_fault_proxy(control_plane, tmp_path) as proxy,
        run_operator(proxy.kubeconfig, lease_name=namespace) as operator,
    ):
        proxy.decide = lambda method, path: Fault(403) if path.split("?")[0] == services else None
        proxy.drop_watches()
        wait_for(lambda: operator.probe("/readyz").status_code == 503, operator.text)
        assert "the watch of services has been refused" in operator.probe("/readyz").text
        assert operator.probe("/healthz").status_code == 200
        assert operator.metric("haizen_operator_watch_refused", 'kind="services"') == 1
        assert operator.metric("haizen_operator_watch_refused", 'kind="inferenceservices"') == 0
        said = [line for line in operator.text().splitlines() if "the watch of services has been refused" in line]
        assert len(said) == 1, "once a minute"
        proxy.decide = lambda method, path: None
        wait_for(lambda: operator.probe("/readyz").status_code == 200, operator.text)
        assert operator.metric("haizen_operator_watch_refused", 'kind="services"') == 0


def _is_ready(world: World, name: str, namespace: str) -> bool:
    return world.condition(name, namespace).get("status") == "True"


def _uninstall(world: World, name: str) -> None:
    found: dict[str, Any] | None = world.get(CRDS, name)
    if found is not None:
        world.delete(CRDS, name)
        wait_for(lambda: world.get(CRDS, name) is None, f"{name} is gone")
