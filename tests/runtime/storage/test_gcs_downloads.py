"""gs:// through STORAGE_EMULATOR_HOST, Google's own variable for a server that stands in for theirs."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import pytest

from haizen_runtime.storage import DownloadError, Limits, fetch
from tests.runtime.storage.faulty_server import FaultyServer, Seen, Served

OBJECTS = {"models/iris/model.bin": b"m" * 300_000, "models/iris/sub/a b.txt": b"x", "models/iris2/other": b"y"}


def etag(content: bytes) -> str:
    return str(Served(content).etag)


@pytest.fixture
def bucket(server: FaultyServer) -> FaultyServer:
    """The bucket ``bkt`` over the XML interface: a listing and objects with ETags."""

    def listing(seen: Seen) -> tuple[int, dict[str, str], bytes]:
        prefix = parse_qs(urlsplit(seen.path).query).get("prefix", [""])[0]
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size><ETag>{etag(content)}</ETag>"
            "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
            for key, content in OBJECTS.items()
            if key.startswith(prefix)
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
        return 200, {"Content-Type": "application/xml"}, body.encode()

    for key, content in OBJECTS.items():
        served = Served(content, headers={"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})
        server.files[f"/bkt/{key}"] = served
    server.dynamic["/bkt?"] = listing
    return server


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("gs://bkt/models/iris", {"model.bin": b"m" * 300_000, "sub/a b.txt": b"x"}),
        ("gs://bkt/models/iris/model.bin", {"model.bin": b"m" * 300_000}),
    ],
)
def test_objects_and_prefixes(
    bucket: FaultyServer, tmp_path: Path, quick: Limits, uri: str, expected: dict[str, bytes]
) -> None:
    bucket.files["/bkt/models/iris/model.bin"].faults = ["ok", "ok", "cut", "503"]

    place = fetch(uri, tmp_path / "m", environ={"STORAGE_EMULATOR_HOST": bucket.url}, limits=quick)

    found = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert {name: content for name, content in found.items() if not name.startswith(".")} == expected


def test_an_empty_prefix_is_said(bucket: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    with pytest.raises(DownloadError, match=r"no object 'models/none' .* 'models/none/' in bucket 'bkt'"):
        fetch("gs://bkt/models/none", tmp_path / "m", environ={"STORAGE_EMULATOR_HOST": bucket.url}, limits=quick)
