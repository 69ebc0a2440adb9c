"""The cluster's certificates and kubeconfigs."""

import base64
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from e2e.cluster import settings

_LIFETIME = timedelta(days=365)
# Python 3.13 refuses an authority that does not say it may sign certificates.
_CA_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# file name -> (organization, common name, DNS names and addresses)
_LEAVES: dict[str, tuple[str | None, str, tuple[str, ...]]] = {
    "apiserver": (
        None,
        "kube-apiserver",
        (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            settings.KUBERNETES_SERVICE_ADDRESS,
            settings.NODE_ADDRESS,
            "127.0.0.1",
        ),
    ),
    "admin": ("system:masters", "admin", ()),
    "controller-manager": (None, "system:kube-controller-manager", ()),
    "scheduler": (None, "system:kube-scheduler", ()),
    "proxy": (None, "system:kube-proxy", ()),
    "node": ("system:nodes", f"system:node:{settings.NODE_NAME}", (settings.NODE_NAME, settings.NODE_ADDRESS)),
    "front-proxy": (None, "front-proxy-client", ()),
}
_KUBECONFIGS = ("admin", "controller-manager", "scheduler", "proxy", "node")


def make_certificates(folder: Path) -> None:
    """Write a new authority, every certificate signed by it, the service account key and the kubeconfigs."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(authority_key)
    _write(folder, "ca", authority_key, authority)
    for name, (organization, common_name, alternatives) in _LEAVES.items():
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, name, key, _leaf(key, authority_key, authority, organization, common_name, alternatives))
    account_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "sa.key").write_bytes(_pem(account_key))
    (folder / "sa.pub").write_bytes(
        account_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    for name in _KUBECONFIGS:
        (folder / f"{name}.kubeconfig").write_text(_kubeconfig(folder, name))


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-ca")])
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_CA_USAGE, critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    organization: str | None,
    common_name: str,
    alternatives: tuple[str, ...],
) -> x509.Certificate:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(x509.Name(attributes), authority.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
    )
    if alternatives:
        names = [_general_name(text) for text in alternatives]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a clock that is put back a little does no harm
        .not_valid_after(now + _LIFETIME)
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _write(folder: Path, name: str, key: _PrivateKey, certificate: x509.Certificate) -> None:
    (folder / f"{name}.key").write_bytes(_pem(key))
    (folder / f"{name}.key").chmod(0o600)
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _kubeconfig(folder: Path, name: str) -> str:
    def encoded(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": settings.NAME,
            "clusters": [
                {
                    "name": settings.NAME,
                    "cluster": {"server": settings.API_URL, "certificate-authority-data": encoded("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": encoded(f"{name}.crt"),
                        "client-key-data": encoded(f"{name}.key"),
                    },
                }
            ],
            "contexts": [{"name": settings.NAME, "context": {"cluster": settings.NAME, "user": name}}],
        },
        indent=1,
    )
