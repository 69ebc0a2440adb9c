"""``haizen-runtime download``: exit codes, the termination message, signals, and what importing it costs."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from haizen_runtime.storage.download import run_download
from tests.runtime.conftest import wait_for
from tests.runtime.storage.faulty_server import FaultyServer, Served, arrived_bytes

RUN = """
import os, sys
from haizen_runtime.storage.download import run_download
sys.exit(run_download(sys.argv[1:], os.environ))
"""


@pytest.mark.parametrize(
    ("argv", "environ", "code", "reason"),
    [
        ([], {}, 2, "InvalidConfiguration"),
        (["http://h/x"], {}, 2, "InvalidConfiguration"),
        (["foo://h/x", "{out}"], {}, 2, "InvalidConfiguration"),
        (["{url}/nope", "{out}"], {}, 4, "ModelDownloadFailed"),
        (["{url}/model.bin#sha256=" + "0" * 64, "{out}"], {}, 4, "ChecksumMismatch"),
        ([], {"HAIZEN_STORAGE_URIS": "[{}]"}, 2, "InvalidConfiguration"),
        (["{url}/model.bin", "{out}"], {"HAIZEN_STORAGE_CONCURRENCY": "x"}, 2, "InvalidConfiguration"),
    ],
)
def test_a_failure_has_its_exit_code_and_one_line_of_json(
    server: FaultyServer, tmp_path: Path, argv: list[str], environ: dict[str, str], code: int, reason: str
) -> None:
    server.files["/model.bin"] = Served(b"x")
    log = tmp_path / "termination-log"
    log.touch()
    words = [word.format(url=server.url, out=tmp_path / "m") for word in argv]

    assert run_download(words, {"HAIZEN_TERMINATION_LOG": str(log), **environ}) == code

    (line,) = log.read_text().splitlines()
    written = json.loads(line)
    assert (written["reason"], written["exitCode"]) == (reason, code)
    assert written["message"]


def test_pairs_come_from_arguments_or_the_environment(server: FaultyServer, tmp_path: Path) -> None:
    server.files["/a.bin"], server.files["/b.bin"] = Served(b"a"), Served(b"b")
    pairs = [{"uri": f"{server.url}/{name}.bin", "mountPath": str(tmp_path / name)} for name in "ab"]

    assert run_download([], {"HAIZEN_STORAGE_URIS": json.dumps(pairs)}) == 0
    assert (
        run_download([f"{server.url}/a.bin", str(tmp_path / "c"), f"{server.url}/b.bin", str(tmp_path / "d")], {}) == 0
    )

    assert [next((tmp_path / name).glob("*.bin")).read_bytes() for name in "abcd"] == [b"a", b"b", b"a", b"b"]


def test_sigterm_stops_cleanly_and_the_next_run_resumes(server: FaultyServer, tmp_path: Path) -> None:
    content = bytes(range(256)) * 8000
    half = len(content) // 2
    server.files["/model.bin"] = Served(content, faults=["stall"] * 8)  # half of each part
    command = [sys.executable, "-c", RUN, f"{server.url}/model.bin", str(tmp_path / "m")]
    environment = {"HAIZEN_STORAGE_PART_BYTES": str(len(content) // 8)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)
    wait_for(lambda: process.poll() is not None or arrived_bytes(tmp_path / "m") == half)
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate(timeout=60)

    assert process.returncode == 143
    assert b"cancelled" in text
    server.log.clear()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert (tmp_path / "m/model.bin").read_bytes() == content
    assert half <= server.body_bytes <= half + 1  # the probe asks for the first byte


def test_importing_it_brings_no_client_along() -> None:
    """A cold start imports this while it loads other things; clients come with the first URI that needs them."""
    heavy = ["obstore", "huggingface_hub", "httpx", "requests", "tarfile", "zipfile", "numpy", "pydantic"]
    code = f"import sys, haizen_runtime.storage; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
