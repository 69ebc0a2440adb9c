"""Where a model is put: locks between processes, killed downloads, full and foreign volumes, mount points."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from haizen_runtime.storage import DownloadError, Limits, fetch, fetch_all
from haizen_runtime.storage.staging import MARKER, Place
from tests.runtime.storage.faulty_server import FaultyServer, Served, arrived_bytes
from tests.runtime.storage.small_volume import SmallVolume

MODEL = random.Random(11).randbytes(4 << 20)
SCRIPT = Path(__file__).with_name("loopback_download.py")


def start(uri: str, place: Path, part_bytes: int = 1 << 20) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, str(SCRIPT), uri, str(place), str(part_bytes)])


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[SmallVolume]:
    """A mount point of 8 MiB, as an emptyDir with a size limit is."""
    place = tmp_path / "volume"
    place.mkdir()
    try:
        mounted = SmallVolume(place)
    except OSError as error:
        pytest.skip(f"this account may not mount a tmpfs in any namespace: {error}")
    yield mounted
    mounted.close()


@pytest.fixture
def volume(small_volume: SmallVolume) -> Path:
    return small_volume.path


def test_two_processes_download_once_and_both_end_ready(server: FaultyServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(MODEL, slow_chunk=200_000)

    processes = [start(f"{server.url}/model.bin", tmp_path / "m") for _ in range(2)]

    assert [process.wait(timeout=90) for process in processes] == [0, 0]
    assert (tmp_path / "m/model.bin").read_bytes() == MODEL
    assert len(MODEL) <= server.body_bytes <= len(MODEL) + 1
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_killed_download_resumes_and_fetches_only_the_rest(server: FaultyServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(MODEL, faults=["stall"] * 4)  # half of each part
    process = start(f"{server.url}/model.bin", tmp_path / "m")
    until(lambda: arrived_bytes(tmp_path / "m") == len(MODEL) // 2)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert not (tmp_path / "m").exists()

    server.log.clear()
    assert start(f"{server.url}/model.bin", tmp_path / "m").wait(timeout=60) == 0

    assert (tmp_path / "m/model.bin").read_bytes() == MODEL
    assert len(MODEL) // 2 <= server.body_bytes <= len(MODEL) // 2 + 1  # the probe asks for the first byte
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_killed_download_begins_anew_when_the_file_changed(server: FaultyServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(MODEL, faults=["stall"] * 4)  # half of each part
    process = start(f"{server.url}/model.bin", tmp_path / "m")
    until(lambda: arrived_bytes(tmp_path / "m") == len(MODEL) // 2)
    process.kill()
    process.wait(timeout=30)

    other = MODEL[::-1]
    server.files["/model.bin"] = Served(other)
    assert start(f"{server.url}/model.bin", tmp_path / "m").wait(timeout=60) == 0

    assert (tmp_path / "m/model.bin").read_bytes() == other


def test_a_journal_of_another_boot_proves_nothing(
    server: FaultyServer, tmp_path: Path, quick: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written before the machine went down may not be on the disk."""
    server.files["/model.bin"] = Served(MODEL)
    monkeypatch.setattr("haizen_runtime.storage.staging.boot_id", lambda: "an earlier boot")
    fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick)
    monkeypatch.undo()
    server.log.clear()

    fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick)

    assert server.body_bytes >= len(MODEL)


def test_a_mount_point_receives_the_entries_and_the_marker_last(
    server: FaultyServer, volume: Path, quick: Limits
) -> None:
    server.files["/model.bin"] = Served(MODEL)

    fetch(f"{server.url}/model.bin", volume, environ={}, limits=quick)

    assert sorted(path.name for path in volume.iterdir()) == sorted([MARKER, "model.bin"])
    assert (volume / "model.bin").read_bytes() == MODEL
    assert json.loads((volume / MARKER).read_text())["files"] == {"model.bin": len(MODEL)}
    assert os.path.ismount(volume)


def test_entries_without_a_marker_are_no_model(server: FaultyServer, volume: Path, quick: Limits) -> None:
    """A process that was killed between the entries' renames leaves a place that the next one completes."""
    (volume / "model.bin").write_bytes(b"of a killed process")
    server.files["/model.bin"] = Served(MODEL)

    fetch(f"{server.url}/model.bin", volume, environ={}, limits=quick)

    assert (volume / "model.bin").read_bytes() == MODEL


@pytest.mark.parametrize("size_is_known", [True, False])
def test_a_full_volume_is_said_and_cleaned(
    server: FaultyServer, volume: Path, quick: Limits, size_is_known: bool
) -> None:
    server.files["/model.bin"] = Served(bytes(12 << 20), chunked=not size_is_known, ranges=size_is_known)

    with pytest.raises(DownloadError, match="no space left") as caught:
        fetch(f"{server.url}/model.bin", volume, environ={}, limits=quick)

    assert str(volume) in str(caught.value)
    assert ("12.0 MiB" in str(caught.value)) == size_is_known
    assert list(volume.iterdir()) == []


def test_a_model_that_fits_on_a_second_try_arrives(server: FaultyServer, volume: Path, quick: Limits) -> None:
    ballast = volume / "ballast"
    ballast.write_bytes(bytes(6 << 20))
    server.files["/model.bin"] = Served(MODEL)
    with pytest.raises(DownloadError, match="no space left"):
        fetch(f"{server.url}/model.bin", volume, environ={}, limits=quick)
    ballast.unlink()

    assert (fetch(f"{server.url}/model.bin", volume, environ={}, limits=quick) / "model.bin").read_bytes() == MODEL


def test_a_volume_that_is_read_only_is_said_unless_the_model_is_there(
    server: FaultyServer, small_volume: SmallVolume, quick: Limits
) -> None:
    volume = small_volume.path
    server.files["/model.bin"] = Served(MODEL)
    server.files["/other.bin"] = Served(MODEL)
    fetch(f"{server.url}/model.bin", volume, environ={}, limits=quick)
    small_volume.make_read_only()

    fetch(f"{server.url}/model.bin", volume, environ={}, limits=quick)
    with pytest.raises(DownloadError, match=r"cannot be written .* mount a writable volume") as caught:
        fetch(f"{server.url}/other.bin", volume, environ={}, limits=quick)

    assert caught.value.reason == "InvalidConfiguration"


def test_a_lock_that_is_held_too_long_is_said(tmp_path: Path, server: FaultyServer, quick: Limits) -> None:
    place = Place.at(tmp_path / "m")
    with (
        place.locked(1.0, lambda: None),
        pytest.raises(DownloadError, match="another process"),
    ):
        fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=replace(quick, lock_timeout=0.5))


@pytest.mark.parametrize("form", ["{}", "file://{}"], ids=["path", "file uri"])
def test_a_local_folder_is_copied_and_a_change_is_noticed(tmp_path: Path, form: str) -> None:
    source = tmp_path / "my models"
    (source / "sub").mkdir(parents=True)
    (source / "sub/model.bin").write_bytes(b"one")
    fetch(form.format(source), tmp_path / "m", environ={})
    (source / "sub/model.bin").write_bytes(b"three")

    place = fetch(form.format(source), tmp_path / "m", environ={})

    assert (place / "sub/model.bin").read_bytes() == b"three"
    assert fetch(form.format(source), tmp_path / "m", environ={}, copy_local=False) == source


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/.", "file://{}/"])
def test_a_local_folder_is_not_copied_onto_itself(tmp_path: Path, form: str) -> None:
    (tmp_path / "model.bin").write_bytes(MODEL)
    assert fetch(form.format(tmp_path), tmp_path, environ={}) == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]


def test_a_local_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(MODEL)
    with pytest.raises(DownloadError, match="lies inside the source"):
        fetch(str(tmp_path), tmp_path / "inside", environ={})
    assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]


def test_a_link_that_leads_out_of_a_local_folder_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "real.bin").write_bytes(b"x")
    (source / "inside").symlink_to("real.bin")
    assert (fetch(str(source), tmp_path / "ok", environ={}) / "inside").read_bytes() == b"x"
    (source / "outside").symlink_to("/etc/passwd")

    with pytest.raises(DownloadError, match="leads out of the folder"):
        fetch(str(source), tmp_path / "bad", environ={})


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("/nowhere/model", "no file or folder /nowhere/model"),
        ("file:///nowhere", "no file or folder /nowhere"),
        ("", "empty"),
        ("pvc://claim/path", "names a volume of a cluster"),
        ("hdfs://x/y", "hdfs:// is not supported; supported are"),
        ("http://", "names no host"),
        ("http://h:99999/x", "malformed"),
        ("<scheme-placeholder>://x", "STORAGE_CONFIG is not set"),
        ("http://h/x#sha256=abc", "64 hexadecimal digits"),
    ],
)
def test_a_uri_that_cannot_be_right_is_said(tmp_path: Path, uri: str, words: str) -> None:
    with pytest.raises(DownloadError, match=words):
        fetch(uri, tmp_path / "m", environ={})


def test_several_models_go_to_several_places(server: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    server.files["/a.bin"], server.files["/b.bin"] = Served(b"a"), Served(b"b")

    fetch_all(
        [(f"{server.url}/a.bin", tmp_path / "x"), (f"{server.url}/b.bin", tmp_path / "x/y")], environ={}, limits=quick
    )

    assert (tmp_path / "x/a.bin").read_bytes() + (tmp_path / "x/y/b.bin").read_bytes() == b"ab"
    with pytest.raises(DownloadError, match="the same destination"):
        fetch_all([("/a", tmp_path / "z"), ("/b", f"{tmp_path}/./z")], environ={})
