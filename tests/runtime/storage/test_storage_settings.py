"""Addresses, limits, credentials, the storage spec and how URIs are shown: tables of small rules."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.storage import AddressPolicy, DownloadError, Limits
from haizen_runtime.storage.addresses import refusal
from haizen_runtime.storage.credentials import azure_accesses, gcs_accesses, s3_accesses
from haizen_runtime.storage.factory import make_source, resolve_uri
from haizen_runtime.storage.limits import backoff_delay
from haizen_runtime.storage.pace import Pace
from haizen_runtime.storage.patterns import Patterns
from haizen_runtime.storage.proxies import proxy_for
from haizen_runtime.storage.spec import apply_storage_spec
from haizen_runtime.storage.uris import parse_uri, redact

STRICT = AddressPolicy(allow_private=False, allow_loopback=False)


@pytest.mark.parametrize(
    ("address", "by_default", "strict"),
    [
        ("8.8.8.8", True, True),
        ("2606:4700::1111", True, True),
        ("127.0.0.1", True, False),
        ("127.8.9.10", True, False),
        ("::1", True, False),
        ("::ffff:127.0.0.1", True, False),
        ("10.1.2.3", True, False),
        ("172.16.0.1", True, False),
        ("192.168.1.1", True, False),
        ("100.64.0.1", True, False),
        ("fd12::1", True, False),
        ("::ffff:10.0.0.1", True, False),
        ("2002:0a00:0001::", True, False),
        ("64:ff9b::a00:1", True, False),
        ("169.254.169.254", False, False),
        ("169.254.1.1", False, False),
        ("fe80::1", False, False),
        ("fe80::1%eth0", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("2002:a9fe:a9fe::", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("fd00:ec2::254", False, False),
        ("100.100.100.200", False, False),
        ("168.63.129.16", False, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("240.0.0.1", False, False),
    ],
)
def test_which_addresses_are_allowed(address: str, by_default: bool, strict: bool) -> None:
    assert (refusal(address, AddressPolicy()) is None) == by_default
    assert (refusal(address, STRICT) is None) == strict


def test_a_public_server_may_not_lead_to_loopback() -> None:
    assert refusal("127.0.0.1", AddressPolicy(), from_public=True) is not None
    assert refusal("10.0.0.1", AddressPolicy(), from_public=True) is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://user:pw@host/a/b?sig=s#x", "https://host/a/b"),
        ("https://ok.host@evil/x", "https://evil/x"),
        ("https://a@b@host/x", "https://host/x"),
        ("s3://bucket/a b/c", "s3://bucket/a b/c"),
        ("/plain/path?with#odd", "/plain/path?with#odd"),
        ("https://host/x#sha256=" + "a" * 64, "https://host/x"),
        ("hf://org/model:main", "hf://org/model:main"),
    ],
)
def test_a_uri_is_shown_without_secrets(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@given(st.text(st.characters(codec="ascii", exclude_characters="/?#@"), min_size=1, max_size=12))
def test_no_password_is_ever_shown(password: str) -> None:
    assert redact(f"https://u:{password}-Zq9@host/x") == "https://host/x"


@pytest.mark.parametrize(
    ("text", "scheme", "sha256"),
    [
        ("s3://b/k", "s3", None),
        ("S3://b/k", "s3", None),
        ("models/iris", "file", None),
        ("/mnt/pvc/x", "file", None),
        ("C:/x", "file", None),
        ("http://h/x#sha256=" + "A" * 64, "http", "a" * 64),
        ("http://h/x#other", "http", None),
    ],
)
def test_a_uri_is_taken_apart(text: str, scheme: str, sha256: str | None) -> None:
    uri = parse_uri(text)
    assert (uri.scheme, uri.sha256) == (scheme, sha256)


@pytest.mark.parametrize("text", ["", " http://h/x", "http://h/x\n", "http://h/\0", "x#sha256=12"])
def test_a_malformed_uri_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"URI"):
        parse_uri(text)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"HAIZEN_STORAGE_CONCURRENCY": "many"}, "HAIZEN_STORAGE_CONCURRENCY is 'many'; it must be a whole number"),
        ({"HAIZEN_STORAGE_CONCURRENCY": "0"}, "must be above 0"),
        ({"HAIZEN_STORAGE_MAX_BYTES": "-1"}, "must be at least 0"),
        ({"HAIZEN_STORAGE_READ_TIMEOUT": "nan"}, "must be above 0"),
        ({"HAIZEN_STORAGE_ALLOW_PRIVATE": "maybe"}, "must be true or false"),
    ],
)
def test_a_bad_limit_is_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Limits.from_environ(environ)


def test_limits_come_from_the_environment() -> None:
    environ = {
        "HAIZEN_STORAGE_CONCURRENCY": "3",
        "HAIZEN_STORAGE_READ_TIMEOUT": "1.5",
        "HAIZEN_STORAGE_ALLOW_PRIVATE": "false",
    }
    limits = Limits.from_environ(environ)
    assert (limits.concurrency, limits.read_timeout, limits.addresses) == (3, 1.5, AddressPolicy(allow_private=False))


@given(
    st.integers(1, 60),
    st.floats(0, 1, exclude_max=True),
    st.none() | st.floats(0, 1e6),
)
def test_a_backoff_stays_between_its_bounds(attempt: int, jitter: float, retry_after: float | None) -> None:
    limits = Limits(backoff_seconds=0.5, backoff_cap_seconds=20)
    delay = backoff_delay(attempt, limits, jitter, retry_after)
    assert 0.25 <= delay <= 20
    assert delay >= min(retry_after or 0, 20)


def test_pace_judges_whole_windows() -> None:
    pace = Pace(min_bytes_per_second=100, window_seconds=10, now=0.0)
    assert [pace.too_slow(count, now) for count, now in [(1, 5.0), (2000, 10.0), (500, 15.0), (400, 20.0)]] == [
        False, False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("allow", "ignore", "wanted"),
    [
        ("", "", ["a.bin", "config.json", "sub/a.bin", "sub/b.txt"]),
        ("*.bin", "", ["a.bin", "sub/a.bin"]),
        ('["sub/"]', "", ["sub/a.bin", "sub/b.txt"]),
        ("*.bin, config.json", "sub/*", ["a.bin", "config.json"]),
        ("", "*.BIN", ["a.bin", "config.json", "sub/a.bin", "sub/b.txt"]),
    ],
)
def test_patterns(allow: str, ignore: str, wanted: list[str]) -> None:
    patterns = Patterns.from_environ({"STORAGE_ALLOW_PATTERNS": allow, "STORAGE_IGNORE_PATTERNS": ignore})
    names = ["a.bin", "config.json", "sub/a.bin", "sub/b.txt"]
    assert [name for name in names if patterns.wants(name)] == wanted


@pytest.mark.parametrize(
    ("config", "override", "uri", "expected"),
    [
        ({"type": "s3", "bucket": "b"}, {}, "<scheme-placeholder>://a/b", "s3://b/a/b"),
        ({"type": "s3", "bucket": "b"}, {"bucket": "c"}, "<scheme-placeholder>:///a", "s3://c/a"),
        ({"type": "s3"}, {"type": "gs", "bucket": "g"}, "<scheme-placeholder>://a", "gs://g/a"),
        ({"type": "s3", "bucket": "b"}, {}, "s3://own/a", "s3://own/a"),
    ],
)
def test_the_storage_spec_fills_the_placeholder(
    config: dict[str, str], override: dict[str, str], uri: str, expected: str
) -> None:
    environ = {"STORAGE_CONFIG": json.dumps(config), "STORAGE_OVERRIDE_CONFIG": json.dumps(override)}
    assert apply_storage_spec(uri, environ)[0] == expected


def test_the_storage_spec_sets_kserves_variables() -> None:
    config = {"type": "s3", "access_key_id": "a", "secret_access_key": "s", "endpoint_url": "http://m:9000",
              "region": "eu", "verify_ssl": False, "anonymous": True, "ca_bundle": "/ca"}  # fmt: skip
    _, environ = apply_storage_spec("s3://b/x", {"STORAGE_CONFIG": json.dumps(config), "AWS_DEFAULT_REGION": "us"})
    assert {name: value for name, value in environ.items() if name != "STORAGE_CONFIG"} == {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_ENDPOINT_URL": "http://m:9000",
        "AWS_DEFAULT_REGION": "eu",
        "S3_VERIFY_SSL": "false",
        "awsAnonymousCredential": "true",
        "AWS_CA_BUNDLE": "/ca",
    }


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"STORAGE_CONFIG": "{secret"}, "STORAGE_CONFIG must hold a JSON object"),
        ({"STORAGE_CONFIG": "[]"}, "STORAGE_CONFIG must hold a JSON object"),
        ({"STORAGE_CONFIG": '{"type": "s3"}'}, 'holds no "bucket"'),
        ({"STORAGE_CONFIG": "{}"}, "unable to determine storage type"),
    ],
)
def test_a_bad_storage_spec_is_said_without_its_secrets(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        apply_storage_spec("<scheme-placeholder>://x", environ)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "names", "expected"),
    [
        ({}, ["no credentials", "the role of the node"], {"region": "us-east-1", "skip_signature": True}),
        ({"AWS_ENDPOINT_URL": "http://m:9000/"}, ["no credentials"], {"endpoint": "http://m:9000"}),
        ({"S3_ENDPOINT": "m:9000"}, ["no credentials"], {"endpoint": "https://m:9000"}),
        ({"S3_ENDPOINT": "m:9000", "S3_USE_HTTPS": "0"}, ["no credentials"], {"endpoint": "http://m:9000"}),
        (
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
            ["AWS_ACCESS_KEY_ID"],
            {"access_key_id": "a", "secret_access_key": "s", "token": "t"},
        ),
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn"},
            ["AWS_WEB_IDENTITY_TOKEN_FILE"],
            {"web_identity_token_file": "/t", "role_arn": "arn"},
        ),
        ({"S3_USER_VIRTUAL_BUCKET": "1", "AWS_DEFAULT_REGION": "eu-west-1"}, ["no credentials", "the role of the node"],
         {"virtual_hosted_style_request": True, "region": "eu-west-1"}),
    ],
)  # fmt: skip
def test_how_s3_is_reached(environ: dict[str, str], names: list[str], expected: dict[str, object]) -> None:
    accesses = s3_accesses(environ)
    assert [access.name for access in accesses] == names
    assert expected.items() <= accesses[0].config.items()
    assert "secret_access_key" not in repr(accesses)


def test_how_gcs_and_azure_are_reached(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text("{}")
    assert [access.name for access in gcs_accesses({})] == ["no credentials", "the account of the node"]
    assert gcs_accesses({"GOOGLE_APPLICATION_CREDENTIALS": str(key)})[0].config == {"application_credentials": str(key)}
    with pytest.raises(DownloadError, match="GOOGLE_APPLICATION_CREDENTIALS names /nope"):
        gcs_accesses({"GOOGLE_APPLICATION_CREDENTIALS": "/nope"})
    rows: list[tuple[Mapping[str, str], str, str]] = [
        ({}, "", "no credentials"),
        ({"AZURE_STORAGE_ACCESS_KEY": "k"}, "", "AZURE_STORAGE_ACCESS_KEY"),
        ({"AZ_CLIENT_ID": "i", "AZ_CLIENT_SECRET": "s", "AZ_TENANT_ID": "t"}, "", "AZURE_CLIENT_ID"),
        ({}, "sv=1&sig=x", "the SAS token in the URL"),
    ]
    assert [azure_accesses("acct", environ, query)[0].name for environ, query, _ in rows] == [row[2] for row in rows]


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("s3://b/k", "ObjectSource"),
        ("gs://b/k", "ObjectSource"),
        ("https://acct.blob.core.windows.net/container/path", "ObjectSource"),
        ("https://blob.core.windows.net.evil/container/path", "HttpSource"),
        ("hf://org/model", "HuggingFaceSource"),
        ("http://h/x", "HttpSource"),
        ("/x", "FileSource"),
    ],
)
def test_each_scheme_has_its_source(uri: str, kind: str) -> None:
    parsed, environ = resolve_uri(uri, {})
    assert type(make_source(parsed, environ, Limits())).__name__ == kind


@pytest.mark.parametrize(
    ("host", "environ", "expected"),
    [
        ("h", {}, None),
        ("h", {"HTTPS_PROXY": "http://p:3128"}, ("p", 3128, {})),
        ("h", {"https_proxy": "p:3128", "NO_PROXY": "other,.h.local"}, ("p", 3128, {})),
        ("a.h.local", {"https_proxy": "p:3128", "NO_PROXY": "other, .h.local"}, None),
        ("h", {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "*"}, None),
        ("h", {"HTTPS_PROXY": "http://u:x@p"}, ("p", 80, {"Proxy-Authorization": "Basic dTp4"})),
        ("h", {"HTTP_PROXY": "http://p:3128"}, None),
    ],
)
def test_proxies(host: str, environ: dict[str, str], expected: object) -> None:
    assert proxy_for("https", host, 443, environ) == expected
