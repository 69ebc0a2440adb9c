"""s3:// against a real S3 server (moto), in each way that KServe's variables allow."""

import hashlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from moto.server import ThreadedMotoServer

from haizen_runtime.storage import ChecksumMismatch, DownloadError, Limits, fetch

BIG = random.Random(3).randbytes(1_500_000)
PART = 5 << 20
OBJECTS = {
    "models/iris/model.joblib": b"a" * 1000,
    "models/iris/sub/odd #1 %20 é~.txt": b"b",
    "models/iris/__init__.py": b"",
    "models/iris2/other.bin": b"c",
    "big.bin": BIG,
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    import boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="sEcReT", region_name="us-east-1"
    )
    for bucket in ("private", "public"):
        client.create_bucket(Bucket=bucket, **({"ACL": "public-read"} if bucket == "public" else {}))
        for key, content in OBJECTS.items():
            extra = {"ACL": "public-read"} if bucket == "public" else {}
            client.put_object(Bucket=bucket, Key=key, Body=content, **extra)
        client.put_object(Bucket=bucket, Key="models/iris/", Body=b"")
    upload = client.create_multipart_upload(Bucket="private", Key="multi.bin")["UploadId"]
    etags = []
    for number in (1, 2):
        part = client.upload_part(
            Bucket="private", Key="multi.bin", UploadId=upload, PartNumber=number, Body=bytes([number]) * PART
        )
        etags.append({"ETag": part["ETag"], "PartNumber": number})
    client.complete_multipart_upload(
        Bucket="private", Key="multi.bin", UploadId=upload, MultipartUpload={"Parts": etags}
    )
    client.put_object(
        Bucket="private", Key="kms.bin", Body=b"secret weights", ServerSideEncryption="aws:kms", SSEKMSKeyId="k"
    )
    yield url
    server.stop()
    client.close()


def keys(endpoint: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "sEcReT"}


def contents(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.name.startswith(".haizen-")
    }


IRIS = {"model.joblib": b"a" * 1000, "sub/odd #1 %20 é~.txt": b"b", "__init__.py": b""}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param("s3://private/models/iris", IRIS, id="prefix"),
        pytest.param("s3://private/models/iris/", IRIS, id="prefix with a slash"),
        pytest.param("s3://private/models/iris/model.joblib", {"model.joblib": b"a" * 1000}, id="single object"),
        pytest.param("s3://private/big.bin", {"big.bin": BIG}, id="larger than the part size"),
        pytest.param("s3://private/multi.bin", {"multi.bin": b"\1" * PART + b"\2" * PART}, id="multipart upload"),
    ],
)
def test_objects_and_prefixes(
    endpoint: str, tmp_path: Path, quick: Limits, uri: str, expected: dict[str, bytes]
) -> None:
    part = replace(quick, part_bytes=1 << 20)

    assert contents(fetch(uri, tmp_path / "m", environ=keys(endpoint), limits=part)) == expected


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="no credentials at a custom endpoint"),
        pytest.param({"awsAnonymousCredential": "true"}, id="awsAnonymousCredential"),
    ],
)
def test_a_public_bucket_needs_no_credentials(
    endpoint: str, tmp_path: Path, quick: Limits, variables: dict[str, str]
) -> None:
    environ = {"S3_ENDPOINT": urlsplit(endpoint).netloc, "S3_USE_HTTPS": "0", **variables}

    assert contents(fetch("s3://public/models/iris", tmp_path / "m", environ=environ, limits=quick)) == IRIS


def test_the_storage_spec_gives_place_and_credentials(endpoint: str, tmp_path: Path, quick: Limits) -> None:
    config = {
        "type": "s3",
        "access_key_id": "AKIAEXAMPLE",
        "secret_access_key": "sEcReT",
        "endpoint_url": endpoint,
        "region": "us-east-1",
        "bucket": "elsewhere",
    }
    environ = {"STORAGE_CONFIG": json.dumps(config), "STORAGE_OVERRIDE_CONFIG": json.dumps({"bucket": "private"})}

    place = fetch("<scheme-placeholder>://models/iris", tmp_path / "m", environ=environ, limits=quick)

    assert contents(place) == IRIS


def test_patterns_choose_files(endpoint: str, tmp_path: Path, quick: Limits) -> None:
    environ = {**keys(endpoint), "STORAGE_ALLOW_PATTERNS": '["*.joblib", "sub/"]', "STORAGE_IGNORE_PATTERNS": "*.txt"}

    place = fetch("s3://private/models/iris", tmp_path / "m", environ=environ, limits=quick)

    assert list(contents(place)) == ["model.joblib"]
    with pytest.raises(DownloadError, match=r"no file passes the patterns .*\.onnx"):
        fetch("s3://private/models/iris", tmp_path / "n", limits=quick,
              environ={**keys(endpoint), "STORAGE_ALLOW_PATTERNS": "*.onnx"})  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "change", "words"),
    [
        pytest.param(
            "s3://private/nope", {}, ["'nope'", "'nope/'", "'private'", "AWS_ACCESS_KEY_ID"], id="nothing there"
        ),
        pytest.param("s3://private/models/iri", {}, ["no object 'models/iri'"], id="half a folder's name"),
        pytest.param("s3://nobucket/x", {}, ["'nobucket'", "no such bucket"], id="no such bucket"),
        pytest.param("s3://", {}, ["names no bucket", "s3://bucket/path"], id="no bucket in the URI"),
        pytest.param("s3://private/x", {"AWS_ACCESS_KEY_ID": ""}, ["AWS_ACCESS_KEY_ID is not set"], id="half a key"),
        pytest.param("s3://private/x", {"AWS_ENDPOINT_URL": "minio:9000"}, ["https://host:port"], id="bad endpoint"),
        pytest.param("s3://private/x", {"AWS_CA_BUNDLE": "/nope.pem"}, ["/nope.pem"], id="no such CA bundle"),
        pytest.param("s3://private/x", {"AWS_ENDPOINT_URL": "http://169.254.169.254"}, ["metadata"], id="metadata"),
        pytest.param(
            "s3://private/models/iris",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            ["access is denied with no credentials"],
            id="private without credentials",
        ),
        pytest.param(
            "s3://private/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ["tried 4 times"], id="nobody listens"
        ),
    ],
)
def test_a_failure_names_the_credentials_and_never_their_values(
    endpoint: str, tmp_path: Path, quick: Limits, uri: str, change: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(uri, tmp_path / "m", environ={**keys(endpoint), **change}, limits=quick)

    text = str(caught.value)
    assert [word for word in words if word not in text] == []
    assert "sEcReT" not in text
    assert "AKIAEXAMPLE" not in text
    assert not (tmp_path / "m").exists()


def test_the_etag_of_a_single_part_is_the_checksum(tmp_path: Path, quick: Limits) -> None:
    """A server whose bytes rot: the ETag promises an MD5 that they do not have."""
    from tests.runtime.storage.faulty_server import FaultyServer, Served

    promised = hashlib.md5(b"good bytes").hexdigest()
    with FaultyServer() as server:
        server.files["/bucket/model.bin"] = Served(b"bad  bytes", etag=f'"{promised}"')
        server.files["/bucket/model.bin"].headers["Last-Modified"] = "Mon, 01 Jan 2024 00:00:00 GMT"
        with pytest.raises(ChecksumMismatch, match=promised):
            fetch("s3://bucket/model.bin", tmp_path / "m", environ={"AWS_ENDPOINT_URL": server.url}, limits=quick)

        signed = {**keys(server.url)}
        with pytest.raises(ChecksumMismatch, match=promised):
            fetch("s3://bucket/model.bin", tmp_path / "m", environ=signed, limits=quick)

        server.files["/bucket/model.bin"].headers["x-amz-server-side-encryption"] = "aws:kms"
        place = fetch("s3://bucket/model.bin", tmp_path / "m", environ=signed, limits=quick)

    assert contents(place) == {"model.bin": b"bad  bytes"}, "with KMS an ETag is no MD5"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        pytest.param(["503", "503", "ok"], None, id="after two failures it says KMS"),
        pytest.param(["503"] * 50, r"model.bin: .* answered 503 \(tried 4 times\)", id="fails for ever"),
        pytest.param(["status:403"], "cannot be asked: .* answered 403: access is denied with AWS_ACCESS_KEY_ID",
                     id="refused"),
    ],
)  # fmt: skip
def test_whether_an_etag_is_an_md5_is_asked_until_it_is_known(
    tmp_path: Path, quick: Limits, answers: list[str], words: str | None
) -> None:
    from tests.runtime.storage.faulty_server import FaultyServer, Served

    headers = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT", "x-amz-server-side-encryption": "aws:kms"}
    with FaultyServer() as server:
        served = Served(b"bytes", etag=f'"{"0" * 32}"', headers=headers, faults=["ok", "ok", *answers])
        server.files["/bucket/model.bin"] = served
        if words is None:
            place = fetch("s3://bucket/model.bin", tmp_path / "m", environ=keys(server.url), limits=quick)
            assert contents(place) == {"model.bin": b"bytes"}
            assert [seen.method for seen in server.log] == ["HEAD", "GET", "HEAD", "HEAD", "HEAD"]
        else:
            with pytest.raises(DownloadError, match=words) as caught:
                fetch("s3://bucket/model.bin", tmp_path / "m", environ=keys(server.url), limits=quick)
            assert caught.value.reason == "ModelDownloadFailed"
            assert not (tmp_path / "m").exists()


def test_a_bucket_of_another_region_is_said(tmp_path: Path, quick: Limits) -> None:
    from tests.runtime.storage.faulty_server import FaultyServer

    with FaultyServer() as server:
        server.dynamic["/"] = lambda _: (301, {}, b"<Error><Code>PermanentRedirect</Code></Error>")
        with pytest.raises(DownloadError, match="lies in another region; set AWS_DEFAULT_REGION"):
            fetch("s3://bucket/model.bin", tmp_path / "m", environ=keys(server.url), limits=quick)


def test_an_object_that_changes_between_ranges_is_never_mixed(tmp_path: Path, quick: Limits) -> None:
    from tests.runtime.storage.faulty_server import FaultyServer, Served

    old, new = os.urandom(500_000), os.urandom(500_000)
    with FaultyServer() as server:
        file = Served(old, next_content=new, faults=["ok", "ok", "ok", "swap"])
        file.headers["Last-Modified"] = "Mon, 01 Jan 2024 00:00:00 GMT"
        server.files["/bucket/model.bin"] = file

        place = fetch("s3://bucket/model.bin", tmp_path / "m", environ={"AWS_ENDPOINT_URL": server.url}, limits=quick)

    assert contents(place) == {"model.bin": new}
