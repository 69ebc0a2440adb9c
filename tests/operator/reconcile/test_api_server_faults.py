"""What an API server does to its clients: it goes away, forgets, answers with the past, and stops knowing them."""

import json
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from haizen_operator.kinds import INFERENCE_SERVICE, KNATIVE_SERVICE, SECRET, SERVICE_ACCOUNT, Kind
from tests.operator.reconcile.cluster_world import World, inference_service, wait_for, world_of
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
    """An administrator's certificate that expires in a few seconds."""
    user = {"client-certificate": str(folder / "robot.crt"), "client-key": str(folder / "robot.key")}
    _write_certificate(control_plane.certificates, folder, timedelta(seconds=15))
    return _kubeconfig(control_plane, folder, user), lambda: _write_certificate(
        control_plane.certificates, folder, timedelta(hours=1)
    )


def _write_certificate(pki: Path, folder: Path, lasts: timedelta) -> None:
    authority = x509.load_pem_x509_certificate((pki / "ca.crt").read_bytes())
    authority_key = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    group = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([group, x509.NameAttribute(NameOID.COMMON_NAME, "robot")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + lasts)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "robot.key").write_bytes(private)
    (folder / "robot.crt").write_bytes(certificate.public_bytes(pem))


def _kubeconfig(control_plane: ControlPlane, folder: Path, user: dict[str, str]) -> Path:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = user
    path = folder / "robot.kubeconfig"
    path.write_text(json.dumps(config))
    return path
