"""hf:// against a server in the hub's shape; the hub's own client proves that the shape is right."""

import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from haizen_runtime.storage import ChecksumMismatch, DownloadError, Limits, fetch
from tests.runtime.storage.faulty_server import FaultyServer, Seen, Served

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = random.Random(5).randbytes(700_000)
FILES = {"config.json": b'{"model_type": "bert"}', "onnx/model.onnx": WEIGHTS}


class Hub:
    """One repository at one commit; large files are redirected to a content network with another ETag."""

    def __init__(self, server: FaultyServer) -> None:
        self.server = server
        self.private_token: str | None = None
        self.extra: dict[str, str] = {}
        server.dynamic["/api/models/"] = self._info
        server.dynamic["/acme/bert/resolve/"] = self._resolve
        server.files["/cdn/weights"] = Served(WEIGHTS, etag='"a-name-of-the-content-network"')

    def _refused(self, seen: Seen) -> tuple[int, dict[str, str], bytes] | None:
        if self.private_token and seen.headers.get("Authorization") != f"Bearer {self.private_token}":
            return 401, {"X-Error-Message": "Invalid username or password.", **self.extra}, b""
        if "/acme/bert" not in seen.path:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        return None

    def _info(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        refused = self._refused(seen)
        if refused:
            return refused
        revision = seen.path.partition("/revision/")[2].partition("?")[0]
        if revision not in ("", "main", "v1", COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        siblings = [self._sibling(name, content) for name, content in FILES.items()]
        info = {"id": "acme/bert", "modelId": "acme/bert", "sha": COMMIT, "siblings": siblings}
        return 200, {"Content-Type": "application/json"}, json.dumps(info).encode()

    def _sibling(self, name: str, content: bytes) -> dict[str, object]:
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
        if len(content) > 1000:
            digest = hashlib.sha256(content).hexdigest()
            sibling |= {"blobId": "f" * 40, "lfs": {"sha256": digest, "size": len(content), "pointerSize": 132}}
        return sibling

    def _resolve(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        refused = self._refused(seen)
        if refused:
            return refused
        name = seen.path.partition("/resolve/")[2].partition("/")[2]
        content = FILES[name]
        if len(content) > 1000:
            digest = hashlib.sha256(content).hexdigest()
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": COMMIT}
            return 302, {"Location": f"http://localhost:{self.server.port}/cdn/weights?Signature=abc", **linked}, b""
        headers = {"ETag": f'"{self._sibling(name, content)["blobId"]}"', "X-Repo-Commit": COMMIT}
        asked = seen.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if asked[0] and seen.method == "GET":
            start, stop = int(asked[0]), min(int(asked[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{stop}/{len(content)}"
            return 206, headers, content[start : stop + 1]
        return 200, headers, content


@pytest.fixture
def hub(server: FaultyServer) -> Iterator[Hub]:
    return Hub(server)


def contents(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.parametrize("uri", ["hf://acme/bert", "hf://acme/bert:v1", f"hf://acme/bert:{COMMIT}"])
def test_a_repository_arrives(hub: Hub, tmp_path: Path, quick: Limits, uri: str) -> None:
    place = fetch(uri, tmp_path / "m", environ={"HF_ENDPOINT": hub.server.url}, limits=quick)

    assert contents(place) == FILES
    resolved = [seen.path for seen in hub.server.log if "/resolve/" in seen.path]
    assert all(f"/resolve/{COMMIT}/" in path for path in resolved), "every file belongs to the one commit"


def test_a_cut_is_resumed(hub: Hub, tmp_path: Path, quick: Limits) -> None:
    hub.server.files["/cdn/weights"].faults = ["cut", "503", "cut"]

    place = fetch("hf://acme/bert", tmp_path / "m", environ={"HF_ENDPOINT": hub.server.url}, limits=quick)

    assert contents(place) == FILES
    assert hub.server.body_bytes == len(WEIGHTS)


def test_the_token_goes_to_the_hub_and_nowhere_else(tmp_path: Path, quick: Limits) -> None:
    with FaultyServer() as first, FaultyServer() as network:
        hub = Hub(first)
        hub.private_token = "hf_planted"
        first.redirects["/cdn/weights"] = f"{network.url}/w"
        network.files["/w"] = Served(WEIGHTS)
        environ = {"HF_ENDPOINT": first.url, "HF_TOKEN": "hf_planted"}

        place = fetch("hf://acme/bert", tmp_path / "m", environ=environ, limits=quick)

        assert contents(place) == FILES
        assert {seen.headers.get("Authorization") for seen in network.log} == {None}
    assert "hf_planted" not in "".join(path.read_text("latin-1") for path in tmp_path.rglob(".haizen-*"))


def test_the_hubs_checksum_is_checked(hub: Hub, tmp_path: Path, quick: Limits) -> None:
    hub.server.files["/cdn/weights"].content = bytes(len(WEIGHTS))

    with pytest.raises(ChecksumMismatch, match=hashlib.sha256(WEIGHTS).hexdigest()):
        fetch("hf://acme/bert", tmp_path / "m", environ={"HF_ENDPOINT": hub.server.url}, limits=quick)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "environ", "words"),
    [
        ("hf://acme/none", {}, ["acme/none", "no token", "HF_TOKEN"]),
        ("hf://acme/bert:v9", {}, ["no revision 'v9'"]),
        ("hf://acme", {}, ["hf://org/model"]),
        ("hf://acme/bert/x", {}, ["hf://org/model"]),
        ("hf://../bert", {}, ["hf://org/model"]),
        ("hf://acme/bert:../../x", {}, ["hf://org/model"]),
        ("hf://acme/bert", {"HF_TOKEN": "hf planted\n x"}, ["HF_TOKEN holds characters"]),
        ("hf://acme/bert", {"HF_ENDPOINT": "ftp://x"}, ["HF_ENDPOINT"]),
    ],
)
def test_a_failure_says_what_would_be_right(
    hub: Hub, tmp_path: Path, quick: Limits, uri: str, environ: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(uri, tmp_path / "m", environ={"HF_ENDPOINT": hub.server.url, **environ}, limits=quick)

    assert [word for word in words if word not in str(caught.value)] == []
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "words"), [({}, "HF_TOKEN does not open it"), ({"X-Error-Code": "GatedRepo"}, "is gated")]
)
def test_a_wrong_token_is_named_not_shown(
    hub: Hub, tmp_path: Path, quick: Limits, extra: dict[str, str], words: str
) -> None:
    hub.private_token, hub.extra = "right", extra

    with pytest.raises(DownloadError, match=words) as caught:
        fetch("hf://acme/bert", tmp_path / "m", limits=quick,
              environ={"HF_ENDPOINT": hub.server.url, "HF_TOKEN": "hf_planted"})  # fmt: skip

    assert "hf_planted" not in str(caught.value)


def test_the_hubs_own_client_reads_our_server_the_same_way(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, the server above is no hub, and the other tests here prove nothing."""
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi(endpoint=hub.server.url).model_info("acme/bert", files_metadata=True)
    assert info.sha == COMMIT
    siblings = {item.rfilename: item for item in info.siblings or []}
    assert siblings["onnx/model.onnx"].lfs is not None
    assert siblings["onnx/model.onnx"].lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    for name, content in FILES.items():
        path = hf_hub_download(
            "acme/bert", name, endpoint=hub.server.url, cache_dir=str(tmp_path / "cache"), revision="main", token=False
        )
        assert Path(os.path.realpath(path)).read_bytes() == content
