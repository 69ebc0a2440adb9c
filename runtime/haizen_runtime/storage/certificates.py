"""Which certificate authorities are trusted beside the machine's own: the bundle that KServe's variables name."""

from collections.abc import Mapping
from pathlib import Path

from haizen_runtime.storage.errors import misconfigured

_FILE = "cabundle.crt"
_MOUNT_POINT = "/etc/ssl/custom-certs"


def ca_bundle(environ: Mapping[str, str]) -> Path | None:
    """Return the PEM file of the authorities to trust, or None when no variable names one.

    KServe's rule: AWS_CA_BUNDLE is a file; else CA_BUNDLE_CONFIGMAP_NAME says that a ConfigMap is mounted at
    CA_BUNDLE_VOLUME_MOUNT_POINT, and the file in it is ``cabundle.crt``. Raises DownloadError when the file that is
    named is not there.
    """
    if named := environ.get("AWS_CA_BUNDLE"):
        path, source = Path(named), "AWS_CA_BUNDLE"
    elif name := environ.get("CA_BUNDLE_CONFIGMAP_NAME"):
        path = Path(environ.get("CA_BUNDLE_VOLUME_MOUNT_POINT") or _MOUNT_POINT) / _FILE
        source = f"ConfigMap {name}, key {_FILE}"
    else:
        return None
    if not path.is_file():
        raise misconfigured(f"there is no CA bundle {path} ({source})")
    return path
