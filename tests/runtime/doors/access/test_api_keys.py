"""API keys over the wire: how they are sent, renewed and kept out of sight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.doors.access.conftest import ADMIN, INFERENCE, METRICS
from tests.runtime.doors.grpc.conftest import PB, SERVICE, Client, target_of

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"authorization": f"Bearer {INFERENCE}"}, 200, id="bearer"),
        pytest.param({"authorization": f"bearer   {INFERENCE}"}, 200, id="bearer-in-small-letters"),
        pytest.param({"x-api-key": INFERENCE}, 200, id="x-api-key"),
        pytest.param(
            {"x-api-key": INFERENCE, "authorization": "Bearer somebodys.jwt"}, 200, id="beside-a-mesh's-token"
        ),
        pytest.param({"x-api-key": "wrong", "authorization": f"Bearer {INFERENCE}"}, 401, id="x-api-key-is-first"),
        pytest.param({"authorization": f"Basic {INFERENCE}"}, 401, id="basic"),
        pytest.param({"authorization": INFERENCE}, 401, id="no-scheme"),
        pytest.param({"authorization": "Bearer"}, 401, id="empty"),
        pytest.param({"authorization": f"Bearer {INFERENCE[:-1]}"}, 401, id="too-short"),
        pytest.param({"authorization": f"Bearer {INFERENCE}, {ADMIN}"}, 401, id="two"),
        pytest.param({"x-api-key": "\xff" * 50}, 401, id="bytes"),
        pytest.param({"authorization": f"Bearer {METRICS}"}, 403, id="scope"),
        pytest.param({"api_key": INFERENCE, "cookie": INFERENCE}, 401, id="elsewhere"),
    ],
)
def test_how_a_key_is_sent(guarded: RuntimeProcess, headers: dict[str, str], status: int) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    response = httpx.post(f"{guarded.url}/v2/models/iris/infer", json=BODY, headers=encoded)
    assert response.status_code == status, response.text
    assert ("www-authenticate" in response.headers) is (status == 401)
    assert INFERENCE not in response.text


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        pytest.param([("authorization", f"Bearer {INFERENCE}")], grpc.StatusCode.OK, id="bearer"),
        pytest.param([("x-api-key", INFERENCE)], grpc.StatusCode.OK, id="x-api-key"),
        pytest.param([("authorization", "Bearer wrong")], grpc.StatusCode.UNAUTHENTICATED, id="wrong"),
        pytest.param([], grpc.StatusCode.UNAUTHENTICATED, id="none"),
        pytest.param([("authorization", f"Bearer {METRICS}")], grpc.StatusCode.PERMISSION_DENIED, id="scope"),
    ],
)
def test_grpc_takes_keys_as_metadata(guarded: RuntimeProcess, metadata: list[Any], code: grpc.StatusCode) -> None:
    client = Client(target_of(guarded))
    seen, says = grpc.StatusCode.OK, ""
    try:
        client.call("ModelMetadata", PB.ModelMetadataRequest(name="iris"), metadata=metadata)
    except grpc.RpcError as error:
        seen, says = error.code(), error.details()
    finally:
        client.channel.close()
    assert seen is code
    assert INFERENCE not in says


def test_a_call_that_only_looks_like_grpc_is_refused_as_http(guarded: RuntimeProcess) -> None:
    for path in (SERVICE + "ModelInfer", "/v2/models/iris/infer"):
        response = httpx.post(guarded.url + path, content=b"", headers={"content-type": "application/grpc"})
        assert response.status_code == 401
    public = httpx.post(guarded.url + SERVICE + "ServerLive", content=b"", headers={"content-type": "application/grpc"})
    assert public.status_code == 415


def test_the_log_names_the_key_and_never_shows_it(guarded: RuntimeProcess) -> None:
    httpx.post(
        f"{guarded.url}/v2/models/iris/infer?key={INFERENCE}", json=BODY,
        headers={"x-api-key": INFERENCE, "x-request-id": "the-named-one"},
    )  # fmt: skip
    wait_for(lambda: "request_id=the-named-one" in guarded.log, guarded.describe)
    (line,) = [each for each in guarded.lines if "request_id=the-named-one" in each]
    assert "key=team-a" in line
    assert not any(key in guarded.log for key in (INFERENCE, METRICS, ADMIN))


def test_keys_are_renewed_without_a_restart(
    iris_dir: Path, tmp_path: Path, start_runtime: Callable[..., RuntimeProcess]
) -> None:
    """As Kubernetes renews a mounted Secret: the link to the data is swapped."""
    new, mounted = "sk-new-0123456789abcdef", tmp_path / "mounted"
    for version, text in (("1", INFERENCE), ("2", new), ("3", "short"), ("4", f"{ADMIN} scope=admin")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "keys").write_text(text)
    mounted.symlink_to(tmp_path / "1")
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", f"--api_keys_file={mounted}/keys"
    )
    runtime.wait_ready()

    def swap(version: str) -> None:
        (tmp_path / "next").symlink_to(tmp_path / version)
        (tmp_path / "next").rename(mounted)

    def status(key: str) -> int:
        return httpx.get(f"{runtime.url}/v2/models/iris", headers={"x-api-key": key}).status_code

    assert (status(INFERENCE), status(new)) == (200, 401)
    swap("2")
    wait_for(lambda: status(new) == 200, runtime.describe)
    assert status(INFERENCE) == 401
    swap("3")
    wait_for(lambda: "the former ones stay" in runtime.log, runtime.describe)
    assert status(new) == 200
    swap("4")
    wait_for(lambda: status(ADMIN) == 200, runtime.describe)
    assert status(new) == 401
    (mounted / "keys").unlink()
    wait_for(lambda: "cannot be read" in runtime.log, runtime.describe)
    assert status(ADMIN) == 200
    assert new not in runtime.log
    assert runtime.log.count("the former ones stay") == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(None, "keys cannot be read: No such file or directory", id="no-file"),
        pytest.param("", "keys has no API key", id="empty"),
        pytest.param("sk-0123456789abcdef role=admin", "line 1: behind the key there may be", id="word"),
    ],
)
def test_a_start_without_usable_keys_is_refused(
    iris_dir: Path, tmp_path: Path, start_runtime: Callable[..., RuntimeProcess], content: str | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "keys").write_text(content)
    runtime = start_runtime(f"--model_dir={iris_dir}", "--allow_code", f"--api_keys_file={tmp_path}/keys")
    assert runtime.wait_exit() == 2
    assert says in runtime.log
    assert "sk-0" not in runtime.log
    assert "Traceback" not in runtime.log
