"""http(s) sources: whatever a server does, the whole file of one version arrives, or nothing does."""

import hashlib
import io
import random
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from haizen_runtime.storage import AddressPolicy, Cancelled, ChecksumMismatch, DownloadError, Limits, fetch
from haizen_runtime.storage.source_http import file_name
from tests.runtime.storage.faulty_server import FaultyServer, Served

OLD = random.Random(1).randbytes(1_000_003)
NEW = random.Random(2).randbytes(1_000_003)
OLD_DATE = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}


def visible(folder: Path) -> list[str]:
    """Names that a reader of the folder sees, haizen's own marker aside."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".haizen-"))


@pytest.mark.parametrize(
    "served",
    [
        pytest.param(Served(OLD), id="healthy"),
        pytest.param(Served(OLD, faults=["cut"]), id="cut at half"),
        pytest.param(Served(OLD, faults=["cut"] * 24), id="most connections cut at half"),
        pytest.param(Served(OLD, faults=["503", "503"]), id="503 twice"),
        pytest.param(Served(OLD, faults=["503:1"]), id="503 with Retry-After"),
        pytest.param(Served(OLD, faults=["trickle"]), id="a trickle below the minimum rate"),
        pytest.param(Served(OLD, faults=["stall"]), id="silence in the middle"),
        pytest.param(Served(OLD, ranges=False), id="no range support"),
        pytest.param(Served(OLD, ranges=False, faults=["cut", "503"]), id="no range support, cut and 503"),
        pytest.param(Served(OLD, ranges=False, faults=["short"]), id="wrong length, then right"),
        pytest.param(Served(OLD, faults=["short"]), id="a range with a wrong length"),
        pytest.param(Served(OLD, chunked=True, ranges=False), id="chunked, no length"),
        pytest.param(Served(OLD, chunked=True, ranges=False, faults=["cut"]), id="chunked and cut"),
        pytest.param(Served(OLD, etag="", headers=OLD_DATE, faults=["cut"]), id="only a date as validator"),
        pytest.param(Served(OLD, etag='W/"weak"', faults=["cut"]), id="only a weak validator"),
        pytest.param(Served(b""), id="empty file"),
    ],
)
def test_the_whole_file_arrives(server: FaultyServer, tmp_path: Path, quick: Limits, served: Served) -> None:
    server.files["/model.bin"] = served

    limits = replace(quick, read_timeout=1.0, stall_seconds=0.5, attempts=10)
    place = fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=limits)

    assert (place / "model.bin").read_bytes() == served.content
    assert visible(place) == ["model.bin"]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("honours_if_match", [True, False], ids=["server answers 412", "server ignores If-Match"])
@pytest.mark.parametrize("when", [1, 5], ids=["at the second range", "later"])
def test_a_version_that_changes_between_ranges_is_never_mixed(
    server: FaultyServer, tmp_path: Path, quick: Limits, honours_if_match: bool, when: int
) -> None:
    server.files["/model.bin"] = Served(
        OLD, next_content=NEW, faults=["ok"] * when + ["swap"], honours_if_match=honours_if_match
    )

    place = fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick)

    assert (place / "model.bin").read_bytes() == NEW


def test_a_source_that_keeps_changing_fails(server: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    server.files["/model.bin"] = Served(OLD, next_content=NEW, faults=["ok", "swap"] * 50)

    with pytest.raises(DownloadError, match="changed 4 times"):
        fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=replace(quick, concurrency=1))

    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("served", "words"),
    [
        pytest.param(Served(OLD, faults=["status:403"] * 9), ["403", "no credentials"], id="403"),
        pytest.param(Served(OLD, faults=["status:404"] * 9), ["404", "check the path"], id="404 behind the probe"),
        pytest.param(Served(OLD, faults=["503"] * 99), ["503", "tried 4 times"], id="503 for ever"),
        pytest.param(Served(OLD, ranges=False, faults=["short"] * 99), ["changed 4 times"], id="wrong length for ever"),
    ],
)
def test_a_failure_says_what_and_where(
    server: FaultyServer, tmp_path: Path, quick: Limits, served: Served, words: list[str]
) -> None:
    server.files["/model.bin"] = served

    with pytest.raises(DownloadError) as caught:
        fetch(f"http://me:hunter2@127.0.0.1:{server.port}/model.bin?sig=topsecret", tmp_path / "m",
              environ={}, limits=quick)  # fmt: skip

    text = str(caught.value)
    expected = [word.replace("no credentials", "the user in the URL") for word in words]
    assert [word for word in expected if word not in text] == []
    assert caught.value.reason == "ModelDownloadFailed"
    assert caught.value.uri == f"{server.url}/model.bin"
    assert "hunter2" not in text
    assert "topsecret" not in text
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("target", "policy", "words"),
    [
        ("http://169.254.169.254/latest/meta-data", AddressPolicy(), "link-local or metadata"),
        ("http://[::ffff:169.254.169.254]/", AddressPolicy(), "link-local or metadata"),
        ("http://2852039166/latest", AddressPolicy(), "link-local or metadata"),
        ("http://0.0.0.0:80/", AddressPolicy(), "unspecified"),
        ("file:///etc/passwd", AddressPolicy(), "neither http nor https"),
        ("http://10.0.0.1/x", AddressPolicy(allow_private=False), "private addresses are refused"),
    ],
)
@pytest.mark.parametrize("hops", [1, 2])
def test_a_redirect_is_judged_like_a_uri(
    server: FaultyServer, tmp_path: Path, quick: Limits, target: str, policy: AddressPolicy, words: str, hops: int
) -> None:
    server.redirects["/model.bin"] = target if hops == 1 else "/second"
    server.redirects["/second"] = target

    with pytest.raises(DownloadError, match=words):
        fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=replace(quick, addresses=policy))


def test_loopback_can_be_refused(server: FaultyServer, tmp_path: Path) -> None:
    server.files["/model.bin"] = Served(OLD)

    with pytest.raises(DownloadError, match="ALLOW_LOOPBACK"):
        fetch(f"{server.url}/model.bin", tmp_path / "m", environ={"HAIZEN_STORAGE_ALLOW_LOOPBACK": "false"})

    assert server.log == []


def test_a_redirect_loop_ends(server: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    server.redirects["/model.bin"] = "/model.bin"

    with pytest.raises(DownloadError, match="more than 5 redirects"):
        fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick)


def test_credentials_of_a_host_do_not_follow_a_redirect_to_another(tmp_path: Path, quick: Limits) -> None:
    with FaultyServer() as first, FaultyServer() as second:
        first.redirects["/model.bin"] = f"{second.url}/cdn/model.bin"
        second.files["/cdn/model.bin"] = Served(OLD)
        environ = {"127.0.0.1-headers": '{"Authorization": "Bearer abc", "X-Team": "blue"}'}

        place = fetch(f"{first.url}/model.bin", tmp_path / "m", environ=environ, limits=quick)

        assert (place / "model.bin").read_bytes() == OLD
        assert {seen.headers.get("Authorization") for seen in first.log} == {"Bearer abc"}
        assert {seen.headers.get("Authorization") for seen in second.log} == {None}


def test_a_promised_digest_is_checked_and_tried_once_more(server: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    digest = hashlib.sha256(OLD).hexdigest()
    server.files["/good.bin"] = Served(OLD)
    server.files["/bad.bin"] = Served(NEW)

    good = fetch(f"{server.url}/good.bin#sha256={digest}", tmp_path / "good", environ={}, limits=quick)
    with pytest.raises(ChecksumMismatch, match=digest) as caught:
        fetch(f"{server.url}/bad.bin", tmp_path / "bad", environ={}, limits=quick, sha256=digest)

    assert (good / "good.bin").read_bytes() == OLD
    assert caught.value.reason == "ChecksumMismatch"
    assert [path.name for path in tmp_path.iterdir()] == ["good"]
    fetched = sum(seen.sent for seen in server.log if seen.path == "/bad.bin")
    assert 2 * len(NEW) <= fetched < 2 * len(NEW) + 10


def test_an_archive_is_unpacked_and_its_digest_is_that_of_the_archive(
    server: FaultyServer, tmp_path: Path, quick: Limits
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("model/weights.bin")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"hello"))
    server.files["/model.tar.gz"] = Served(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()

    place = fetch(f"{server.url}/model.tar.gz#sha256={digest}", tmp_path / "m", environ={}, limits=quick)

    assert visible(place) == ["model"]
    assert (place / "model/weights.bin").read_bytes() == b"hello"


def test_a_cancelled_download_resumes_where_it_stopped(server: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    server.files["/model.bin"] = Served(OLD, slow_chunk=20_000)
    cancel = threading.Event()
    seen: list[int] = []

    def progress(done: int, total: int | None, file: str) -> None:
        assert (total, file) == (len(OLD), "model.bin")
        seen.append(done)
        if done > len(OLD) // 2:
            cancel.set()

    with pytest.raises(Cancelled):
        fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick, cancel=cancel, progress=progress)
    assert not (tmp_path / "m").exists()
    server.files["/model.bin"].slow_chunk = 0
    server.log.clear()
    place = fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick)

    assert (place / "model.bin").read_bytes() == OLD
    assert seen == sorted(seen)
    assert server.body_bytes <= len(OLD) - max(seen) + 1


def test_a_silent_server_does_not_hold_up_a_cancel(server: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    server.files["/model.bin"] = Served(OLD, faults=["stall"] * 100)
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()

    # A cancel that waits for these limits runs into the test's own.
    with pytest.raises(Cancelled):
        fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, cancel=cancel,
              limits=replace(quick, read_timeout=7200.0, stall_seconds=7200.0))  # fmt: skip


def test_a_complete_download_is_reused_without_asking(server: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    server.files["/model.bin"] = Served(OLD)
    fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick)
    server.log.clear()

    fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick)
    assert server.log == []

    (tmp_path / "m/model.bin").write_bytes(b"truncated")
    fetch(f"{server.url}/model.bin", tmp_path / "m", environ={}, limits=quick)
    assert (tmp_path / "m/model.bin").read_bytes() == OLD


def test_another_source_replaces_the_former_model_and_nothing_else(
    server: FaultyServer, tmp_path: Path, quick: Limits
) -> None:
    server.files["/old.bin"] = Served(OLD)
    server.files["/new.bin"] = Served(NEW)
    fetch(f"{server.url}/old.bin", tmp_path / "m", environ={}, limits=quick)
    (tmp_path / "m/notes.txt").write_text("mine")

    fetch(f"{server.url}/new.bin", tmp_path / "m", environ={}, limits=quick)

    assert visible(tmp_path / "m") == ["new.bin", "notes.txt"]


@pytest.mark.parametrize(
    ("url", "disposition", "content_type", "expected"),
    [
        ("http://h/a/model.joblib?x=1", 'attachment; filename="other.bin"', None, "model.joblib"),
        ("http://h/download?id=3", 'attachment; filename="model.joblib"', None, "model.joblib"),
        ("http://h/download", "attachment; filename*=UTF-8''m%20%C3%A9.onnx", None, "m é.onnx"),
        ("http://h/download", 'attachment; filename="../../etc/cron.d/x.sh"', None, "x.sh"),
        ("http://h/download", 'attachment; filename="..\\\\..\\\\x.bin"', None, "x.bin"),
        ("http://h/download", 'attachment; filename=".."', None, "download"),
        ("http://h/download", 'attachment; filename=".bashrc"', None, "bashrc"),
        ("http://h/a/%2e%2e%2fx.bin", None, None, "x.bin"),
        ("http://h/", None, None, "model"),
        ("http://h/artifact", None, "application/zip", "artifact.zip"),
        ("http://h/artifact", None, "application/x-tar; q=1", "artifact.tar"),
    ],
)
def test_the_file_name_is_plain(url: str, disposition: str | None, content_type: str | None, expected: str) -> None:
    assert file_name(url, disposition, content_type) == expected
