"""Certificates, clients' certificates and API keys with several processes: each follows the files by itself."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.runtime.certificates import Authority
from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.processes.conftest import answer, children, clients

OLD, NEW = "sk-old-0123456789abcdef", "sk-new-0123456789abcdef"


def put(file: Path, text: str) -> None:
    """Write a file in one step: each half that a process sees is a line in the log."""
    new = file.with_name("new")
    new.write_text(text)
    new.rename(file)


def trusting(server: Authority, chain: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=server.pem.decode())
    context.load_cert_chain(*chain)
    return context


def test_certificates_are_renewed_in_every_process(tmp_path: Path, start_who: Callable[..., RuntimeProcess]) -> None:
    """The server's certificate and the authority of its clients; also a process that comes later has them."""
    servers, later, old, new = (Authority(name) for name in ("servers", "servers, later", "old", "new"))
    cert, key = servers.write(tmp_path, "server")
    (tmp_path / "clients.crt").write_bytes(old.pem)
    chains = {each: each.write(tmp_path, f"client-{index}") for index, each in enumerate((old, new))}
    runtime = start_who(
        f"--tls_cert_file={cert}", f"--tls_key_file={key}", f"--tls_client_ca_file={tmp_path}/clients.crt"
    )

    def served(server: Authority, client: Authority) -> list[int]:
        """Who answers four new connections; a connection that is refused gives 0."""
        answers = []
        with clients(runtime, 4, verify=trusting(server, chains[client])) as sessions:
            for session in sessions:
                try:
                    answers.append(answer(session))
                except (httpx.TransportError, ssl.SSLError):
                    answers.append(0)
        return answers

    def all_serve(server: Authority, client: Authority) -> bool:
        pids = children(runtime)
        return len(pids) == 2 and set(served(server, client)) == set(pids)

    wait_for(lambda: all_serve(servers, old), runtime.describe)
    assert served(servers, new) == [0] * 4
    (tmp_path / "clients.crt").write_bytes(new.pem)
    later.write(tmp_path, "server")
    wait_for(lambda: all_serve(later, new), runtime.describe)
    assert (served(later, old), served(servers, new)) == ([0] * 4, [0] * 4)
    os.kill(children(runtime)[0], signal.SIGKILL)
    wait_for(lambda: "a serving process ended" in runtime.log and all_serve(later, new), runtime.describe)
    assert "Traceback" not in runtime.log


def test_api_keys_are_renewed_in_every_process(tmp_path: Path, start_who: Callable[..., RuntimeProcess]) -> None:
    keys = tmp_path / "keys"
    keys.write_text(OLD)
    runtime = start_who(f"--api_keys_file={keys}")
    runtime.wait_ready()
    with clients(runtime, 4) as sessions:

        def served(key: str) -> set[int]:
            for session in sessions:
                session.headers["x-api-key"] = key
            return {answer(session) for session in sessions}

        assert served(OLD) == set(children(runtime))
        assert served(NEW) == {401}
        put(keys, NEW)
        wait_for(lambda: served(OLD) == {401}, runtime.describe)
        assert served(NEW) == set(children(runtime))
        put(keys, "short")
        wait_for(lambda: runtime.log.count("the former ones stay") == 2, runtime.describe)
        assert served(NEW) == set(children(runtime))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--api_keys_file={0}/keys"], "keys cannot be read", id="keys"),
        pytest.param(["--tls_cert_file={0}/a.crt", "--tls_key_file={0}/a.key"], "cannot be used for TLS", id="tls"),
    ],
)
def test_files_that_cannot_be_used_end_the_start(
    tmp_path: Path, start_who: Callable[..., RuntimeProcess], arguments: list[str], says: str
) -> None:
    runtime = start_who(*(each.format(tmp_path) for each in arguments))
    assert runtime.wait_exit() == 2, runtime.log
    (line,) = [each for each in runtime.lines if each.startswith("haizen-runtime: ")]
    assert says in line
    assert "Traceback" not in runtime.log
