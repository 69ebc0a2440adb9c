"""Fetching a model in a child process: progress, failure, and an end at any moment."""

import asyncio
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from haizen_cli.run.fetch import FetchError, fetch, local_folder, model_folder
from tests.cli.local_run import descendants, wait_until

BODY = os.urandom(3_000_000)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and one path that never ends."""

    def do_GET(self) -> None:
        if self.path.startswith("/stuck"):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()
            self.server.stuck.wait(60)  # type: ignore[attr-defined]
            return
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "model.onnx").write_bytes(BODY)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web")))
    httpd.stuck = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.stuck.set()  # type: ignore[attr-defined]
    httpd.shutdown()
    thread.join()
    httpd.server_close()


async def test_a_model_arrives_and_the_bytes_are_counted(tmp_path: Path, server: str) -> None:
    seen: list[tuple[int, int | None]] = []
    folder = await fetch(
        f"{server}/model.onnx", tmp_path / "here", os.environ, lambda done, total: seen.append((done, total))
    )
    assert (folder / "model.onnx").read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))


@pytest.mark.parametrize(
    ("path", "reason", "message"),
    [
        pytest.param("/missing", "ModelDownloadFailed", "404", id="missing"),
        pytest.param(f"/model.onnx#sha256={'0' * 64}", "ChecksumMismatch", "sha256", id="other bytes"),
        pytest.param("/model.onnx#sha256=zz", "InvalidConfiguration", "64 hexadecimal digits", id="no digest"),
    ],
)
async def test_why_it_failed(tmp_path: Path, server: str, path: str, reason: str, message: str) -> None:
    with pytest.raises(FetchError) as failed:
        await fetch(server + path, tmp_path / "here", os.environ, lambda *_: None)
    assert failed.value.failure.reason == reason
    assert message in failed.value.failure.message
    assert not (tmp_path / "here" / "model.onnx").exists()


async def test_it_ends_when_it_is_cancelled(tmp_path: Path, server: str) -> None:
    before = descendants(os.getpid())
    fetching = asyncio.create_task(fetch(f"{server}/stuck", tmp_path / "here", os.environ, lambda *_: None))
    while not descendants(os.getpid()) - before:
        await asyncio.sleep(0.05)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    wait_until(lambda: not descendants(os.getpid()) - before, "the end of the child")


def test_folders_are_used_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert local_folder(tmp_path.as_uri()) == tmp_path
    assert local_folder((tmp_path / "file").as_uri()) is None
    assert local_folder("s3://b/m") is None
    assert model_folder(tmp_path, "s3://b/m") != model_folder(tmp_path, "s3://b/n")
