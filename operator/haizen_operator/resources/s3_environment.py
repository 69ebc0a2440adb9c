"""S3 settings as environment variables: annotations first, then the secret's keys, then the cluster's defaults.

KServe's names throughout, its misspelt S3_USER_VIRTUAL_BUCKET included. None of these is a secret.
"""

from collections.abc import Mapping
from typing import Any

from haizen_operator.config import CredentialSettings

_ANNOTATION = "serving.kserve.io/s3-"
#: Variable (also the key in a secret), suffix of the annotation, key of the cluster's default; in KServe's order.
_SETTINGS = (
    ("S3_VERIFY_SSL", "verifyssl", "s3VerifySSL"),
    ("awsAnonymousCredential", "useanoncredential", "s3UseAnonymousCredential"),
    ("AWS_DEFAULT_REGION", "region", "s3Region"),
    ("S3_USER_VIRTUAL_BUCKET", "usevirtualbucket", "s3UseVirtualBucket"),
    ("S3_USE_ACCELERATE", "useaccelerate", "s3UseAccelerate"),
    ("AWS_CA_BUNDLE", "cabundle", "s3CABundle"),
    ("AWS_CA_BUNDLE_CONFIGMAP", "cabundle-configmap", "s3CABundleConfigMap"),
)


def s3_environment(
    annotations: Mapping[str, str], data: Mapping[str, str], settings: CredentialSettings
) -> list[dict[str, Any]]:
    """The variables for a secret's (or ServiceAccount's) annotations and decoded data."""

    def value(variable: str, suffix: str, default: str) -> str:
        for source, key in ((annotations, _ANNOTATION + suffix), (data, variable)):
            if key in source:
                return source[key]
        return settings.s3_defaults.get(default, "")

    env: list[dict[str, Any]] = []
    endpoint = value("S3_ENDPOINT", "endpoint", "s3Endpoint").strip()
    if endpoint:
        scheme, separator, host = endpoint.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            use_https, url = ("1" if scheme.lower() == "https" else "0"), endpoint
        else:
            host, use_https = endpoint, value("S3_USE_HTTPS", "usehttps", "s3UseHttps")
            url = f"{'http' if use_https == '0' else 'https'}://{endpoint}"
        if use_https:
            env.append({"name": "S3_USE_HTTPS", "value": use_https})
        env += [{"name": "S3_ENDPOINT", "value": host}, {"name": "AWS_ENDPOINT_URL", "value": url}]
    for variable, suffix, default in _SETTINGS:
        if found := value(variable, suffix, default):
            env.append({"name": variable, "value": found})
    return env
