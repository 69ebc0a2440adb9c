"""TLS on the one port: HTTP/1.1, HTTP/2 and gRPC, renewed certificates, clients' certificates, and who is refused."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from haizen_runtime.protocol.errors import InvalidConfiguration
from haizen_runtime.tls import ServerTls
from tests.runtime.certificates import Authority
from tests.runtime.conftest import SERVE, RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import PB, SERVICE

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("the authority")


@pytest.fixture(scope="session")
def secure(iris_dir: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeProcess]:
    cert, key = authority.write(tmp_path_factory.mktemp("tls"), "server")
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", f"--tls_cert_file={cert}",
         f"--tls_key_file={key}"], {},
    )  # fmt: skip
    try:
        wait_for(lambda: "is ready" in runtime.log, runtime.describe)
        yield runtime
    finally:
        runtime.stop()


def trusting(*authorities: Authority, chain: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata="".join(each.pem.decode() for each in authorities))
    if chain is not None:
        context.load_cert_chain(*chain)
    return context


def address(runtime: RuntimeProcess) -> tuple[str, int]:
    host, _, port = runtime.url.removeprefix("https://").partition(":")
    return host, int(port)


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_http_over_tls(secure: RuntimeProcess, authority: Authority, version: str) -> None:
    with httpx.Client(verify=trusting(authority), http1=True, http2=version == "HTTP/2") as client:
        response = client.post(f"{secure.url}/v2/models/iris/infer", json=BODY)
        assert (response.status_code, response.http_version) == (200, version)
        assert response.json()["outputs"][0]["data"] == [0]
        big = {"inputs": [{"name": "x", "shape": [20000, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2] * 20000}]}
        answer = client.post(f"{secure.url}/v2/models/iris/infer", json=big, timeout=60).json()
        assert answer["outputs"][0]["data"] == [0] * 20000


def test_grpc_over_tls(secure: RuntimeProcess, authority: Authority) -> None:
    host, port = address(secure)
    channel = grpc.secure_channel(f"{host}:{port}", grpc.ssl_channel_credentials(authority.pem))
    method = channel.unary_unary(
        SERVICE + "ModelReady", PB.ModelReadyRequest.SerializeToString, PB.ModelReadyResponse.FromString
    )
    assert method(PB.ModelReadyRequest(name="iris"), timeout=60).ready
    channel.close()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        pytest.param(["h2", "http/1.1"], "h2", id="both"),
        pytest.param(["http/1.1"], "http/1.1", id="http1"),
        pytest.param(["spdy/3"], None, id="neither"),
        pytest.param([], None, id="no-alpn"),
    ],
)
def test_alpn(secure: RuntimeProcess, authority: Authority, offered: list[str], chosen: str | None) -> None:
    context = trusting(authority)
    if offered:
        context.set_alpn_protocols(offered)
    with context.wrap_socket(socket.create_connection(address(secure)), server_hostname="localhost") as connection:
        assert connection.selected_alpn_protocol() == chosen
        if chosen != "h2":
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_old_versions_of_tls_are_refused(secure: RuntimeProcess, authority: Authority) -> None:
    context = trusting(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(address(secure)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_what_is_no_tls_hurts_nobody(secure: RuntimeProcess, authority: Authority) -> None:
    for first in (
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\xff\xff" * 99,
    ):
        with socket.create_connection(address(secure), timeout=60) as connection:
            connection.sendall(first)
            while connection.recv(65536):  # an alert, then the end
                pass
    assert httpx.get(f"{secure.url}/v2/health/ready", verify=trusting(authority)).status_code == 200
    assert "Traceback" not in secure.log


def test_clients_need_a_certificate_when_asked_for(
    iris_dir: Path, tmp_path: Path, start_runtime: Callable[..., RuntimeProcess]
) -> None:
    """Everything renewed at once: the server's certificate and the authority of its clients."""
    servers, old, new, stranger = (Authority(name) for name in ("servers", "old", "new", "stranger"))
    cert, key = servers.write(tmp_path, "server")
    (tmp_path / "clients.crt").write_bytes(old.pem)
    chains = {each: each.write(tmp_path, f"client-{index}") for index, each in enumerate((old, new, stranger))}
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", f"--tls_cert_file={cert}",
        f"--tls_key_file={key}", f"--tls_client_ca_file={tmp_path}/clients.crt",
    )  # fmt: skip

    def admitted(client: Authority | None, server: Authority = servers) -> bool:
        context = trusting(server, chain=None if client is None else chains[client])
        try:
            return httpx.get(f"{runtime.url}/v2/health/live", verify=context).status_code == 200
        except (httpx.TransportError, ssl.SSLError):
            return False

    wait_for(lambda: admitted(old), runtime.describe)
    assert [admitted(client) for client in (None, new, stranger)] == [False, False, False]
    host, port = address(runtime)
    for client, works in ((old, True), (stranger, False)):
        cert_file, key_file = chains[client]
        credentials = grpc.ssl_channel_credentials(
            servers.pem, Path(key_file).read_bytes(), Path(cert_file).read_bytes()
        )
        with grpc.secure_channel(f"{host}:{port}", credentials) as channel:
            live = channel.unary_unary(SERVICE + "ServerLive")
            if works:
                assert live(b"", timeout=60) == b"\x08\x01"
            else:
                with pytest.raises(grpc.RpcError):
                    live(b"", timeout=60)

    (tmp_path / "clients.crt").write_bytes(new.pem)
    wait_for(lambda: admitted(new), runtime.describe)
    assert not admitted(old)
    later = Authority("servers, later")
    later.write(tmp_path, "server")
    wait_for(lambda: admitted(new, later), runtime.describe)
    assert not admitted(new, servers)
    (tmp_path / "server.key").write_bytes(b"garbage")
    wait_for(lambda: "the former ones stay" in runtime.log, runtime.describe)
    assert admitted(new, later)
    assert "Traceback" not in runtime.log


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        pytest.param(lambda folder: (folder / "server.crt").unlink(), "No such file", id="no-certificate"),
        pytest.param(lambda folder: (folder / "server.crt").write_text("x"), "cannot be used for TLS", id="garbage"),
        pytest.param(lambda folder: Authority("x").write(folder, "other") and (folder / "other.key").rename(
            folder / "server.key"), "KEY_VALUES_MISMATCH", id="key-of-another"),
        pytest.param(lambda folder: (folder / "clients.crt").write_text("x"), "has no PEM certificates", id="clients"),
    ],
)  # fmt: skip
def test_certificates_that_cannot_be_used_are_told(tmp_path: Path, break_it: Callable[[Path], Any], says: str) -> None:
    authority = Authority("a")
    cert, key = authority.write(tmp_path, "server")
    (tmp_path / "clients.crt").write_bytes(authority.pem)
    ServerTls(cert, key, f"{tmp_path}/clients.crt")
    break_it(tmp_path)
    with pytest.raises(InvalidConfiguration) as raised:
        ServerTls(cert, key, f"{tmp_path}/clients.crt")
    assert says in raised.value.message


def test_a_start_with_a_bad_certificate_is_refused(
    iris_dir: Path, tmp_path: Path, start_runtime: Callable[..., RuntimeProcess]
) -> None:
    runtime = start_runtime(
        f"--model_dir={iris_dir}", "--allow_code", f"--tls_cert_file={tmp_path}/no.crt",
        f"--tls_key_file={tmp_path}/no.key",
    )  # fmt: skip
    assert runtime.wait_exit() == 2
    assert "no.crt with " in runtime.log
    assert "Traceback" not in runtime.log
