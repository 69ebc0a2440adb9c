"""A real etcd and kube-apiserver for tests, on free loopback ports: no fakes.

There is no controller manager and no scheduler: objects are stored, validated, defaulted and watched as on any
cluster, but nothing acts on them.
"""

import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from e2e.cluster.binaries import ensure
from e2e.cluster.certificates import make_certificates

START_SECONDS = 120
STOP_SECONDS = 20


@dataclass(frozen=True)
class ControlPlane:
    """A running API server, and how to log in to it as an administrator."""

    host: str
    certificates: Path  # folder with ca.crt, admin.crt and admin.key
    kubeconfig: Path

    @property
    def trusted_clients(self) -> Path:
        """The authorities whose client certificates the API server accepts; it notices when the file is replaced."""
        return self.kubeconfig.with_name("client-authorities.crt")

    def client(self) -> httpx.Client:
        """An HTTP client that is logged in; close it after use."""
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.crt"))
        context.load_cert_chain(self.certificates / "admin.crt", self.certificates / "admin.key")
        return httpx.Client(base_url=self.host, verify=context, timeout=60, trust_env=False)


@dataclass(frozen=True)
class Etcd:
    """A running etcd, and how to start an API server on it, as often as a test wants to: always at the same address."""

    url: str
    api_server: Callable[[], contextlib.AbstractContextManager[ControlPlane]]

    def compact(self) -> None:
        """Forget every past revision, as a cluster does every few minutes."""
        with httpx.Client(base_url=self.url, timeout=60, trust_env=False) as http:
            revision = http.post("/v3/maintenance/status", json={}).raise_for_status().json()["header"]["revision"]
            http.post("/v3/kv/compaction", json={"revision": revision, "physical": True}).raise_for_status()


@contextlib.contextmanager
def run_control_plane() -> Iterator[ControlPlane]:
    """Start etcd and kube-apiserver, wait until the API is ready, and stop both at the end.

    Raises RuntimeError with the end of the log of the process that did not come up.
    """
    with run_etcd() as etcd, etcd.api_server() as control_plane:
        yield control_plane


@contextlib.contextmanager
def run_etcd() -> Iterator[Etcd]:
    """Start etcd alone; the API server comes and goes as the test wants it to.

    Raises RuntimeError with the end of the log of the process that did not come up.
    """
    folder = ensure(["etcd", "kube-apiserver"])  # KUBEBUILDER_ASSETS if set; else built once, in minutes
    with tempfile.TemporaryDirectory(prefix="haizen-control-plane-", ignore_cleanup_errors=True) as temporary:
        data = Path(temporary)
        certificates = data / "pki"
        make_certificates(certificates)
        shutil.copy(certificates / "ca.crt", data / "client-authorities.crt")
        with contextlib.ExitStack() as stack:
            etcd_url = stack.enter_context(_etcd(folder / "etcd", data))
            port = stack.enter_context(_own_port())
            host = f"https://127.0.0.1:{port}"
            kubeconfig = _write_kubeconfig(data / "kubeconfig", host, certificates)

            @contextlib.contextmanager
            def api_server() -> Iterator[ControlPlane]:
                with _api_server(folder / "kube-apiserver", data, certificates, etcd_url, port):
                    yield ControlPlane(host, certificates, kubeconfig)

            yield Etcd(etcd_url, api_server)


@contextlib.contextmanager
def _etcd(binary: Path, data: Path) -> Iterator[str]:
    with _own_port() as client, _own_port() as peer:
        url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        with _etcd_at(binary, data, url, peer_url):
            yield url


@contextlib.contextmanager
def _etcd_at(binary: Path, data: Path, url: str, peer_url: str) -> Iterator[None]:
    command = [
        str(binary),
        f"--data-dir={data / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--socket-reuse-port",
        "--unsafe-no-fsync",  # the data dies with the test
        "--log-level=warn",
    ]
    with _process(command, data / "etcd.log") as process, httpx.Client(trust_env=False) as http:
        _wait(process, data / "etcd.log", lambda: http.get(f"{url}/health").status_code == 200)
        yield


@contextlib.contextmanager
def _api_server(binary: Path, data: Path, certificates: Path, etcd_url: str, port: int) -> Iterator[None]:
    host = f"https://127.0.0.1:{port}"
    command = [
        str(binary),
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing",
        f"--tls-cert-file={certificates / 'apiserver.crt'}",
        f"--tls-private-key-file={certificates / 'apiserver.key'}",
        f"--client-ca-file={data / 'client-authorities.crt'}",
        f"--service-account-key-file={certificates / 'sa.key'}",
        f"--service-account-signing-key-file={certificates / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--authorization-mode=RBAC",
        # No controller manager makes default ServiceAccounts, so pods must not wait for one.
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
    ]
    with _process(command, data / "kube-apiserver.log") as process:
        with ControlPlane(host, certificates, data / "kubeconfig").client() as http:
            _wait(process, data / "kube-apiserver.log", lambda: http.get("/readyz").status_code == 200)
        yield


@contextlib.contextmanager
def _process(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):
            if ready():
                return
        time.sleep(0.2)
    tail = log.read_text(errors="replace")[-3000:]
    raise RuntimeError(f"{log.stem} did not become ready (exit code {process.poll()}). The end of its log:\n{tail}")


@contextlib.contextmanager
def _own_port() -> Iterator[int]:
    """A free port that nobody else gets before, or between, the servers that are told to listen on it.

    It is shared with those only who say that they share it; who connects while none of them listens is refused.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def _write_kubeconfig(path: Path, host: str, certificates: Path) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "tests", "cluster": {"server": host, "certificate-authority": str(certificates / "ca.crt")}}
        ],
        "users": [
            {
                "name": "admin",
                "user": {
                    "client-certificate": str(certificates / "admin.crt"),
                    "client-key": str(certificates / "admin.key"),
                },
            }
        ],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
        "current-context": "tests",
    }
    path.write_text(yaml.safe_dump(config))
    return path
