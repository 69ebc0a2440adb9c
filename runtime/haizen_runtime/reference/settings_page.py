"""docs/settings.md: every setting of the runtime with its unit, default and names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final

from haizen_runtime.reference.markdown import size, table
from haizen_runtime.reference.texts import field_texts
from haizen_runtime.settings import ALIASES, ENV_PREFIX, KSERVE_ONLY, Settings
from haizen_runtime.storage.limits import STORAGE_PREFIX, AddressPolicy, Limits

UNITS: Final = (
    ("bytes_per_second", "bytes a second"), ("_seconds", "seconds"), ("_timeout", "seconds"), ("_bytes", "bytes"),
    ("_rows", "rows"), ("_depth", "levels"),
)  # fmt: skip
"""How a name's end says the unit; other numbers are counts."""

OTHERS: Final = (
    ("STORAGE_URI", "The same as `--storage_uri`."),
    ("AIP_STORAGE_URI, AIP_HTTP_PORT, AIP_HEALTH_ROUTE, AIP_PREDICT_ROUTE",
     "Vertex AI's: `--storage_uri`, `--http_port`, `--health_route`, `--predict_route`."),
    ("HAIZEN_STORAGE_URIS", 'Several sources: a JSON list of `{"uri": ..., "mountPath": ...}`.'),
    ("STORAGE_CONFIG, STORAGE_OVERRIDE_CONFIG", "KServe's `storage:` section: place and credentials as JSON objects."),
    ("STORAGE_ALLOW_PATTERNS, STORAGE_IGNORE_PATTERNS", "Which files of a source are fetched, as shell patterns."),
    ("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN", "Keys for `s3://`."),
    ("AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN", "The role of a ServiceAccount for `s3://` (IRSA)."),
    ("AWS_ENDPOINT_URL, S3_ENDPOINT, S3_USE_HTTPS", "Where `s3://` is, if not at AWS."),
    ("AWS_DEFAULT_REGION, S3_USER_VIRTUAL_BUCKET, awsAnonymousCredential", "How `s3://` is asked (KServe's names)."),
    ("AWS_CA_BUNDLE", "A PEM file of authorities to trust."),
    ("CA_BUNDLE_CONFIGMAP_NAME, CA_BUNDLE_VOLUME_MOUNT_POINT",
     "The same from a mounted ConfigMap, key `cabundle.crt`; AWS_CA_BUNDLE is before it."),
    ("S3_VERIFY_SSL", "`0` or `false`: certificates of object stores are not checked."),
    ("SSL_CERT_FILE, REQUESTS_CA_BUNDLE", "Authorities in place of the machine's own."),
    ("GOOGLE_APPLICATION_CREDENTIALS, STORAGE_EMULATOR_HOST", "The account for `gs://`; an emulator of it."),
    ("AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_TENANT_ID, AZURE_FEDERATED_TOKEN_FILE, AZURE_ACCESS_TOKEN, "
     "AZURE_STORAGE_ACCESS_KEY", "The account for Azure Blob."),
    ("HF_TOKEN, HF_TOKEN_PATH, HF_ENDPOINT", "The token for `hf://`, and where the hub is."),
    ("&lt;host&gt;-headers", "A JSON object of headers for `http(s)://` of that host."),
    ("HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY", "Proxies for `http(s)://` and `hf://`."),
    ("CE_MERGE, CE_TYPE, CE_SOURCE",
     "How CloudEvents are answered (KServe's names): whether with their own attributes, of which type and source."),
    ("K_REVISION", "Knative's; sent as `haizen-revision` with every answer."),
    ("PREDICT_PROBA", "`true`: scikit-learn classifiers answer with probabilities (KServe's name)."),
)  # fmt: skip
"""Variables that are KServe's, Knative's or everybody's."""


def settings_page() -> str:
    """The page as Markdown."""
    texts, limits, policy = field_texts(Settings), field_texts(Limits), field_texts(AddressPolicy)
    rows = [
        (f"`--{field.name}`", f"`{ENV_PREFIX}{field.name.upper()}`", *_described(field), texts[field.name])
        for field in fields(Settings)
    ]
    downloads = [
        (f"`{STORAGE_PREFIX}{field.name.upper()}`", *_described(field), limits[field.name])
        for field in fields(Limits) if field.name != "addresses"
    ]  # fmt: skip
    downloads += [
        (f"`{STORAGE_PREFIX}{field.name.upper()}`", *_described(field), policy[field.name])
        for field in fields(AddressPolicy)
    ]
    lines = [
        "# Settings of the runtime",
        "",
        "An argument wins over a variable. `-` and `_` mean the same in an argument's name, and a boolean argument",
        "needs no value. What is out of range or unknown ends the start with exit code 2 and one line that says what",
        "would be right. [limits.md](limits.md) says what is refused because of them.",
        "",
        "## Serving",
        "",
        *table(("Argument", "Variable", "Unit", "Default", "Meaning"), rows),
        "",
        "Other names, from KServe's servers: "
        + ", ".join(f"`--{alias}` for `--{name}`" for alias, name in sorted(ALIASES.items()))
        + ".",
        "",
        "Accepted with a warning and without effect, so that YAML for KServe's servers works: "
        + ", ".join(f"`--{name}`" for name in sorted(KSERVE_ONLY))
        + ".",
        "",
        "## Downloads",
        "",
        "Of the server and of `haizen-runtime download` alike; variables only.",
        "",
        *table(("Variable", "Unit", "Default", "Meaning"), downloads),
        "",
        "## Variables with names of others",
        "",
        *table(("Variable", "Meaning"), [(_code(names), text) for names, text in OTHERS]),
    ]
    return "\n".join(lines) + "\n"


def unit_of(name: str, default: Any) -> str:
    """The unit of a setting, or its kind when it has none."""
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, str):
        return "text"
    return next((unit for end, unit in UNITS if f"_{name}".endswith(end)), "number")


def _described(field: Any) -> tuple[str, str]:
    unit, default = unit_of(field.name, field.default), field.default
    if isinstance(default, bool):
        return unit, f"`{str(default).lower()}`"
    if isinstance(default, str):
        return unit, f"`{default}`" if default else "none"
    shown = f"`{default:.0f}`" if default == int(default) else f"`{default}`"
    return unit, f"{shown} ({size(default)})" if unit == "bytes" and default >= 1024 else shown


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" if "&" not in name else name for name in names.split(", "))
