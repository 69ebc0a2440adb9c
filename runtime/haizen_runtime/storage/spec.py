"""STORAGE_CONFIG and STORAGE_OVERRIDE_CONFIG: the credentials and place of a ``storage:`` section.

KServe's rules: STORAGE_CONFIG is the chosen entry of the Secret ``storage-config`` (JSON), STORAGE_OVERRIDE_CONFIG
holds the ``parameters`` of the InferenceService and wins; the URI ``<scheme-placeholder>://path`` becomes
``<type>://<bucket>/<path>``.
"""

import json
from collections.abc import Mapping

PLACEHOLDER = "<scheme-placeholder>"
_S3_VARIABLES = {
    "endpoint_url": "AWS_ENDPOINT_URL",
    "access_key_id": "AWS_ACCESS_KEY_ID",
    "secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "region": "AWS_DEFAULT_REGION",
    "ca_bundle": "AWS_CA_BUNDLE",
    "verify_ssl": "S3_VERIFY_SSL",
    "anonymous": "awsAnonymousCredential",
}
# Types whose URI has a bucket (or its like) before the path.
_WITH_BUCKET = frozenset({"s3", "gs"})


def apply_storage_spec(uri: str, environ: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Return the URI without placeholder and the environment with the spec's credentials.

    Raises ValueError that says which variable or key is wrong; secrets are not repeated.
    """
    if "STORAGE_CONFIG" not in environ and "STORAGE_OVERRIDE_CONFIG" not in environ:
        if uri.startswith(PLACEHOLDER):
            raise ValueError("the URI has a placeholder for its scheme, but STORAGE_CONFIG is not set")
        return uri, environ
    settings = {**_object(environ, "STORAGE_CONFIG"), **_object(environ, "STORAGE_OVERRIDE_CONFIG")}
    kind = str(settings.get("type", ""))
    if uri.startswith(f"{PLACEHOLDER}://"):
        uri = _fill(uri.removeprefix(f"{PLACEHOLDER}://"), kind, settings)
    if kind != "s3":
        return uri, environ
    given = {variable: _text(settings[key]) for key, variable in _S3_VARIABLES.items() if key in settings}
    return uri, {**environ, **given}


def _fill(path: str, kind: str, settings: Mapping[str, object]) -> str:
    if not kind:
        raise ValueError('unable to determine storage type: STORAGE_CONFIG holds no "type", such as s3 or gs')
    if kind not in _WITH_BUCKET:
        return f"{kind}://{path}"
    bucket = settings.get("bucket")
    if not isinstance(bucket, str) or not bucket:
        raise ValueError(f'STORAGE_CONFIG of type {kind} holds no "bucket", and the path alone does not name one')
    return f"{kind}://{bucket}/{path.lstrip('/')}"


def _object(environ: Mapping[str, str], name: str) -> dict[str, object]:
    text = environ.get(name, "").strip() or "{}"
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{name} must hold a JSON object")
    return value


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
