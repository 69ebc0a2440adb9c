"""How a bucket is reached: endpoint, region, TLS and credentials from the environment, in KServe's spelling."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from haizen_runtime.storage.certificates import ca_bundle
from haizen_runtime.storage.errors import misconfigured


@dataclass(frozen=True)
class Access:
    """One way to reach a bucket; ``name`` says which credentials it uses, by name and never by value."""

    name: str
    config: dict[str, Any] = field(repr=False)
    client: dict[str, Any] = field(default_factory=dict, repr=False)
    endpoint: str | None = None


def s3_accesses(environ: Mapping[str, str]) -> list[Access]:
    """Return the ways to try for s3, in order.

    Given credentials are the only way when there are any; without, a public bucket is read anonymously, and the
    role of the node is tried when that is refused (on AWS itself only).
    """
    config: dict[str, Any] = {"region": environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION") or "us-east-1"}
    endpoint = _s3_endpoint(environ)
    virtual = _true(environ, "S3_USER_VIRTUAL_BUCKET") or _true(environ, "S3_USE_VIRTUAL_BUCKET")
    config["virtual_hosted_style_request"] = virtual
    if endpoint is not None:
        config["endpoint"] = endpoint
    client = tls_options(environ)
    if _true(environ, "awsAnonymousCredential"):
        return [Access("awsAnonymousCredential=true", {**config, "skip_signature": True}, client, endpoint)]
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        config |= {"access_key_id": key, "secret_access_key": secret}
        if environ.get("AWS_SESSION_TOKEN"):
            config["token"] = environ["AWS_SESSION_TOKEN"]
        return [Access("AWS_ACCESS_KEY_ID", config, client, endpoint)]
    if key or secret:
        missing = "AWS_SECRET_ACCESS_KEY" if key else "AWS_ACCESS_KEY_ID"
        raise misconfigured(f"{missing} is not set, but its counterpart is; set both or neither")
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
        config |= {
            "web_identity_token_file": environ["AWS_WEB_IDENTITY_TOKEN_FILE"],
            "role_arn": environ["AWS_ROLE_ARN"],
        }
        return [Access("AWS_WEB_IDENTITY_TOKEN_FILE", config, client, endpoint)]
    for variable in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        if environ.get(variable):
            return [Access(variable, {**config, variable.lower().removeprefix("aws_"): environ[variable]}, client)]
    anonymous = Access("no credentials", {**config, "skip_signature": True}, client, endpoint)
    return [anonymous] if endpoint is not None else [anonymous, Access("the role of the node", config, client)]


def gcs_accesses(environ: Mapping[str, str]) -> list[Access]:
    """Return the ways to try for gs: the service account's file, else anonymously and then the node's own account."""
    client = tls_options(environ)
    emulator = environ.get("STORAGE_EMULATOR_HOST")
    if emulator:
        url = emulator if "://" in emulator else f"http://{emulator}"
        config = {"base_url": url.rstrip("/"), "skip_signature": True}
        return [Access("STORAGE_EMULATOR_HOST", config, {**client, "allow_http": True}, url)]
    file = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if file:
        if not Path(file).is_file():
            raise misconfigured(f"GOOGLE_APPLICATION_CREDENTIALS names {file}, and there is no such file")
        return [Access("GOOGLE_APPLICATION_CREDENTIALS", {"application_credentials": file}, client)]
    return [Access("no credentials", {"skip_signature": True}, client), Access("the account of the node", {}, client)]


def azure_accesses(account: str, environ: Mapping[str, str], query: str = "") -> list[Access]:
    """Return the ways to try for Azure Blob: SAS in the URL, token, account key, service principal, anonymous."""
    config: dict[str, Any] = {"account_name": account}
    client = tls_options(environ)
    if "sig=" in query:
        return [Access("the SAS token in the URL", {**config, "sas_key": query}, client)]
    if environ.get("AZURE_ACCESS_TOKEN"):
        return [Access("AZURE_ACCESS_TOKEN", {**config, "token": environ["AZURE_ACCESS_TOKEN"]}, client)]
    if environ.get("AZURE_STORAGE_ACCESS_KEY"):
        return [
            Access("AZURE_STORAGE_ACCESS_KEY", {**config, "account_key": environ["AZURE_STORAGE_ACCESS_KEY"]}, client)
        ]
    names = {
        key: environ.get(f"AZURE_{key.upper()}") or environ.get(f"AZ_{key.upper()}") or ""
        for key in ("client_id", "client_secret", "tenant_id")
    }
    if all(names.values()):
        return [Access("AZURE_CLIENT_ID", {**config, **names}, client)]
    token_file = environ.get("AZURE_FEDERATED_TOKEN_FILE")
    if names["client_id"] and names["tenant_id"] and token_file:
        config |= {"client_id": names["client_id"], "tenant_id": names["tenant_id"], "federated_token_file": token_file}
        return [Access("AZURE_FEDERATED_TOKEN_FILE", config, client)]
    anonymous = Access("no credentials", {**config, "skip_signature": True}, client)
    return [anonymous, Access("the identity of the node", config, client)]


def tls_options(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return client options for S3_VERIFY_SSL and the CA bundle of KServe's variables, or SSL_CERT_FILE.

    Raises DownloadError when a bundle that is named is not there.
    """
    if environ.get("S3_VERIFY_SSL", "").strip().lower() in ("0", "false"):
        return {"allow_invalid_certificates": True}
    bundle = ca_bundle(environ) or environ.get("SSL_CERT_FILE")
    if not bundle:
        return {}
    try:
        return {"root_certificate": Path(bundle).read_bytes()}
    except OSError as error:
        raise misconfigured(f"the CA bundle {bundle} cannot be read: {error.strerror}") from None


def _s3_endpoint(environ: Mapping[str, str]) -> str | None:
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    if not endpoint and environ.get("S3_ENDPOINT"):
        host = environ["S3_ENDPOINT"]
        secure = environ.get("S3_USE_HTTPS", "1").strip().lower() not in ("0", "false")
        endpoint = host if "://" in host else f"{'https' if secure else 'http'}://{host}"
    if not endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise misconfigured("AWS_ENDPOINT_URL (or S3_ENDPOINT) must look like https://host:port")
    # The global endpoint cannot serve buckets of other regions; leaving it out lets the region choose the host.
    return None if parts.hostname == "s3.amazonaws.com" else endpoint.rstrip("/")


def _true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() in ("1", "true")
