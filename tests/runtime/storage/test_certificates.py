"""TLS with an authority that no machine knows: KServe's variables make it trusted, for every kind of source."""

import datetime
import ipaddress
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from haizen_runtime.storage import DownloadError, Limits, fetch
from tests.runtime.storage.faulty_server import FaultyServer, Served

MODEL = b"weights" * 1000
HUB = {"sha": "c0ffee", "siblings": [{"rfilename": "model.bin", "size": len(MODEL)}]}


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def write_certificates(folder: Path) -> None:
    """An authority (cabundle.crt), another one (stranger.crt), and a certificate of the first for 127.0.0.1."""
    now = datetime.datetime.now(datetime.UTC)

    def certificate(
        subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        )

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("cabundle", "stranger", "server")}
    signing = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    for name in ("cabundle", "stranger"):
        authority = certificate(name, name, keys[name], keys[name])
        authority = authority.add_extension(x509.BasicConstraints(True, 0), critical=True)
        signed = authority.add_extension(signing, critical=True).sign(keys[name], hashes.SHA256())
        (folder / f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = certificate("server", "cabundle", keys["server"], keys["cabundle"])
    server = server.add_extension(x509.BasicConstraints(False, None), critical=True)
    signed = server.add_extension(address, critical=False).sign(keys["cabundle"], hashes.SHA256())
    (folder / "server.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        keys["server"].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder)
    return folder


@pytest.fixture(scope="module")
def secure(certificates: Path) -> Iterator[FaultyServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    with FaultyServer(context) as server:
        dated = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        for path in ("/model.bin", "/bucket/model.bin", "/org/model/resolve/c0ffee/model.bin"):
            server.files[path] = Served(MODEL, headers=dated)
        server.dynamic["/api/models/org/model/revision/main"] = lambda _: (200, {}, json.dumps(HUB).encode())
        yield server


SOURCES = {"https": "{url}/model.bin", "s3": "s3://bucket/model.bin", "hf": "hf://org/model"}


def bring(server: FaultyServer, place: Path, limits: Limits, source: str, environ: dict[str, str]) -> bytes:
    environ = {"AWS_ENDPOINT_URL": server.url, "HF_ENDPOINT": server.url, **environ}
    return (
        fetch(SOURCES[source].format(url=server.url), place, environ=environ, limits=limits) / "model.bin"
    ).read_bytes()


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"AWS_CA_BUNDLE": "{folder}/cabundle.crt"}, id="a file"),
        pytest.param(
            {"CA_BUNDLE_CONFIGMAP_NAME": "ca", "CA_BUNDLE_VOLUME_MOUNT_POINT": "{folder}"}, id="the cluster's ConfigMap"
        ),
        pytest.param(
            {"AWS_CA_BUNDLE": "{folder}/cabundle.crt", "CA_BUNDLE_CONFIGMAP_NAME": "ca",
             "CA_BUNDLE_VOLUME_MOUNT_POINT": "/nowhere"}, id="a file before the ConfigMap",
        ),
        pytest.param(
            {"STORAGE_CONFIG": '{{"type": "s3", "cabundle_configmap": "ca"}}', "CA_BUNDLE_CONFIGMAP_NAME": "ca",
             "CA_BUNDLE_VOLUME_MOUNT_POINT": "{folder}/"}, id="a ConfigMap of storage-config",
        ),
        pytest.param({"SSL_CERT_FILE": "{folder}/cabundle.crt"}, id="SSL_CERT_FILE"),
    ],
)  # fmt: skip
def test_a_bundle_is_trusted(
    secure: FaultyServer, certificates: Path, tmp_path: Path, quick: Limits, source: str, environ: dict[str, str]
) -> None:
    variables = {name: value.format(folder=certificates) for name, value in environ.items()}
    assert bring(secure, tmp_path / "m", quick, source, variables) == MODEL


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("environ", "words"),
    [
        pytest.param({}, "certificate (that )?is not trusted", id="no bundle"),
        pytest.param(
            {"AWS_CA_BUNDLE": "{folder}/stranger.crt"}, "certificate (that )?is not trusted", id="another authority"
        ),
        pytest.param({"AWS_CA_BUNDLE": "/nope.pem"}, r"no CA bundle /nope.pem \(AWS_CA_BUNDLE\)", id="no such file"),
        pytest.param(
            {"CA_BUNDLE_CONFIGMAP_NAME": "ca", "CA_BUNDLE_VOLUME_MOUNT_POINT": "/nope"},
            r"no CA bundle /nope/cabundle.crt \(ConfigMap ca, key cabundle.crt\)", id="no such key",
        ),
        pytest.param({"AWS_CA_BUNDLE": "{folder}/server.key"}, r"server.key|not usable", id="no certificate in it"),
    ],
)  # fmt: skip
def test_what_is_not_trusted_is_said(
    secure: FaultyServer, certificates: Path, tmp_path: Path, quick: Limits, source: str, environ: dict[str, str],
    words: str,
) -> None:  # fmt: skip
    variables = {name: value.format(folder=certificates) for name, value in environ.items()}
    with pytest.raises(DownloadError, match=words):
        bring(secure, tmp_path / "m", quick, source, variables)


def test_s3_may_go_without_verification(secure: FaultyServer, tmp_path: Path, quick: Limits) -> None:
    assert bring(secure, tmp_path / "m", quick, "s3", {"S3_VERIFY_SSL": "0"}) == MODEL
