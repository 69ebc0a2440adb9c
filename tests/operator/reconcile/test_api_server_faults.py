"""What an API server does to its clients: it goes away, forgets, tells of the past, refuses, and stops knowing them."""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from e2e.cluster.certificates import make_certificates
from haizen_operator.kinds import INFERENCE_SERVICE, KNATIVE_SERVICE, SECRET, SERVICE_ACCOUNT, Kind
from tests.operator.reconcile.cluster_world import NAMESPACES, World, inference_service, wait_for, world_of
from tests.operator.reconcile.direct import direct
from tests.operator.reconcile.fault_proxy import Fault, run_fault_proxy
from tests.operator.reconcile.operator_process import OperatorProcess, run_operator
from tests.operator.reconcile.toy_knative import ToyKnative
from tests.support.control_plane import ControlPlane, run_etcd

BINDING = Kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
Rotate = Callable[[], None]


def edit(world: World, name: str, namespace: str, timeout: int) -> None:
    world.merge(INFERENCE_SERVICE, name, namespace, {"spec": {"predictor": {"timeout": timeout}}})


def carried_out(world: World, name: str, namespace: str, timeout: int, operator: OperatorProcess) -> None:
    def applied() -> bool:
        live = world.service(name, namespace)
        return live is not None and live["spec"]["template"]["spec"].get("timeoutSeconds") == timeout

    wait_for(applied, operator.text)


def test_restarted_api_server_that_has_forgotten_the_past(tmp_path: Path) -> None:
    """It is away for a while, and answers 410 Gone to watches that go on where they were: nothing is missed."""
    with run_etcd() as etcd, ExitStack() as stack:
        running = stack.enter_context(ExitStack())
        control_plane = running.enter_context(etcd.api_server())
        world = stack.enter_context(contextmanager(world_of)(control_plane))
        namespace = world.namespace("restart")
        proxy = stack.enter_context(run_fault_proxy(control_plane, tmp_path))
        stack.enter_context(ToyKnative(control_plane))
        operator = stack.enter_context(run_operator(proxy.kubeconfig, leader_election="false", log_level="debug"))
        world.create(INFERENCE_SERVICE, inference_service("old", namespace))
        world.wait_ready("old", namespace)

        proxy.decide = lambda method, path: Fault(503) if "watch=true" in path else None
        proxy.drop_watches()
        running.close()
        assert operator.probe("/healthz").status_code == 200
        running.enter_context(etcd.api_server())
        edit(world, "old", namespace, 21)
        world.create(INFERENCE_SERVICE, inference_service("new", namespace))
        etcd.compact()
        proxy.decide = lambda method, path: None

        carried_out(world, "old", namespace, 21, operator)
        world.wait_ready("new", namespace)
        assert "Restarting the watch-stream for inferenceservices" in operator.text(), "kopf's words for 410 Gone"
        assert operator.process.poll() is None


def test_service_that_is_deleted_while_nobody_watches(
    world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """The watch of Knative Services alone is refused for a while, and cannot go on: no event tells of the deletion."""
    gone = '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410}}\n'
    refusals: list[str] = []
    last_answers: list[Fault] = []
    with ToyKnative(control_plane), run_fault_proxy(control_plane, tmp_path) as proxy:

        def decide(method: str, path: str) -> Fault | None:
            if path.split("?")[0] != KNATIVE_SERVICE.path() or "watch=true" not in path:
                return None
            refusals.append(path)
            return last_answers.pop() if last_answers else Fault(503)

        with run_operator(proxy.kubeconfig, lease_name=namespace) as operator:
            world.create(INFERENCE_SERVICE, inference_service("robbed", namespace))
            world.wait_ready("robbed", namespace)
            proxy.decide = decide
            proxy.drop_watches()
            wait_for(lambda: refusals, "nobody watches")
            world.delete(KNATIVE_SERVICE, "robbed-predictor", namespace)
            last_answers.append(Fault(200, {"Content-Type": "application/json"}, gone))
            wait_for(lambda: ("Warning", "KnativeServiceRecreated") in world.events(namespace), operator.text)
            assert not last_answers


def test_list_of_the_past(world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """A restarted operator is given an old list first: what is gone stays gone, and no old spec is applied."""
    path = INFERENCE_SERVICE.path()
    with ToyKnative(control_plane), run_fault_proxy(control_plane, tmp_path) as proxy:
        with run_operator(proxy.kubeconfig, lease_name=namespace) as operator:
            for name in ("gone", "edited"):
                world.create(INFERENCE_SERVICE, inference_service(name, namespace, timeout=11))
                world.wait_ready(name, namespace)
            operator.terminate()
        past = world.http.get(path).text
        for kind, name in ((INFERENCE_SERVICE, "gone"), (KNATIVE_SERVICE, "gone-predictor")):
            world.delete(kind, name, namespace)
        edit(world, "edited", namespace, 22)
        world.create(INFERENCE_SERVICE, inference_service("later", namespace))
        writes: list[str] = []
        proxy.after_write = lambda method, path: writes.append(path)
        answer = Fault(200, {"Content-Type": "application/json"}, past)
        proxy.decide = lambda method, asked: (
            answer if asked.split("?")[0] == path and "watch=true" not in asked else None
        )
        with run_operator(proxy.kubeconfig, lease_name=namespace) as operator:
            carried_out(world, "edited", namespace, 22, operator)
            world.wait_ready("edited", namespace)
            world.wait_ready("later", namespace)
            assert world.service("gone", namespace) is None
            assert not [it for it in writes if "/gone" in it]
            revisions = world.wait_service("edited", namespace)["metadata"]["generation"]
            assert revisions == 2, "the old spec was not applied once more"


async def test_nothing_is_made_in_a_namespace_that_goes_away(
    world: World, control_plane: ControlPlane, namespace: str
) -> None:
    """Its children went first: the service is left to go with its namespace, which is no error of anybody's."""
    world.install_runtimes()
    world.create(INFERENCE_SERVICE, inference_service("leaving", namespace))
    async with direct(control_plane) as operator:
        await operator.settle(namespace, "leaving")
        world.delete(NAMESPACES, namespace)  # this API server has no controller that would empty it
        world.delete(KNATIVE_SERVICE, "leaving-predictor", namespace)
        await operator.reconcile(namespace, "leaving")
    assert world.service("leaving", namespace) is None
    assert not [event for event in world.events(namespace) if event[0] == "Warning"]


@pytest.mark.parametrize("kind", ["token", "certificate"])
def test_credentials_that_run_out(
    world: World, control_plane: ControlPlane, namespace: str, tmp_path: Path, kind: str
) -> None:
    """Those in use are refused from some moment on; new ones lie in the same file. The process goes on."""
    prepare = _rotating_token if kind == "token" else _rotating_certificate
    kubeconfig, rotate = prepare(world, control_plane, namespace, tmp_path)
    with (
        ToyKnative(control_plane),
        run_operator(kubeconfig, lease_name=namespace, watch_inactivity_seconds="2") as operator,
    ):
        world.create(INFERENCE_SERVICE, inference_service("first", namespace))
        world.wait_ready("first", namespace)
        rotate()
        requests, lease = "haizen_operator_api_requests_total", 'kind="Lease"'
        wait_for(lambda: operator.metric(requests, lease, 'status="401"') > 0, operator.text)
        renewed = operator.metric(requests, lease, 'status="200"')
        edit(world, "first", namespace, 31)
        carried_out(world, "first", namespace, 31, operator)
        world.create(INFERENCE_SERVICE, inference_service("second", namespace))
        world.wait_ready("second", namespace)
        wait_for(lambda: operator.metric(requests, lease, 'status="200"') > renewed + 10, operator.text)
        assert operator.process.poll() is None
        assert operator.metric("haizen_operator_leader") == 1


def _rotating_token(world: World, control_plane: ControlPlane, namespace: str, folder: Path) -> tuple[Path, Rotate]:
    """A ServiceAccount's token, refused once the Secret that it is bound to is deleted."""
    world.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot", "namespace": namespace}})
    world.create(
        BINDING,
        {
            "metadata": {"name": f"{namespace}-robot"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": namespace}],
        },
    )
    file = folder / "token"

    def write(name: str) -> None:
        secret = world.create(SECRET, {"metadata": {"name": name, "namespace": namespace}})
        bound = {"apiVersion": "v1", "kind": "Secret", "name": name, "uid": secret["metadata"]["uid"]}
        request = {"spec": {"expirationSeconds": 3600, "boundObjectRef": bound}}
        answer = world.http.post(f"{SERVICE_ACCOUNT.path(namespace, 'robot')}/token", json=request)
        file.write_text(answer.raise_for_status().json()["status"]["token"])

    def rotate() -> None:
        write("next")
        world.delete(SECRET, "first", namespace)

    write("first")
    return _kubeconfig(control_plane, folder, {"tokenFile": str(file)}), rotate


def _rotating_certificate(
    world: World, control_plane: ControlPlane, namespace: str, folder: Path
) -> tuple[Path, Rotate]:
    """An administrator's certificate, refused once the API server no longer trusts the authority that signed it."""
    withdrawn, robot = folder / "withdrawn", folder / "robot"
    make_certificates(withdrawn)
    robot.mkdir()
    shutil.copy(control_plane.certificates / "ca.crt", robot)

    def write(source: Path) -> None:
        for file in ("admin.key", "admin.crt"):
            shutil.copy(source / file, robot)

    lasting = control_plane.trusted_clients.read_bytes()

    def trust(authorities: bytes) -> None:
        new = folder / "authorities"
        new.write_bytes(authorities)
        new.replace(control_plane.trusted_clients)

    def rotate() -> None:
        write(control_plane.certificates)
        trust(lasting)

    write(withdrawn)
    trust(lasting + (withdrawn / "ca.crt").read_bytes())
    with replace(control_plane, certificates=robot).client() as http:
        wait_for(lambda: http.get("/api").status_code == 200, "the API server trusts the second authority as well")
    user = {"client-certificate": str(robot / "admin.crt"), "client-key": str(robot / "admin.key")}
    return _kubeconfig(control_plane, folder, user), rotate


def _kubeconfig(control_plane: ControlPlane, folder: Path, user: dict[str, str]) -> Path:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = user
    path = folder / "robot.kubeconfig"
    path.write_text(json.dumps(config))
    return path
