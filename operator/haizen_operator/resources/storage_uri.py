"""Which storage URIs are understood, and what they mean."""

import re
from dataclasses import dataclass

from haizen_operator.resources.errors import ResourceError, ResourceProblem

#: What the downloader fetches. KServe takes more; those are refused with a reason of their own.
DOWNLOADED_SCHEMES = ("s3://", "gs://", "hf://", "https://", "http://", "file://")
_PVC = "pvc://"
_NOT_BUILT_YET = ("hdfs://", "webhdfs://", "oci://", "oci+native://", "oci+fetch://", "modelscope://")
_KSERVE_SCHEMES = (
    "gs://",
    "s3://",
    "pvc://",
    "file://",
    "https://",
    "http://",
    "hdfs://",
    "webhdfs://",
    "oci://",
    "oci+native://",
    "oci+fetch://",
    "hf://",
)
_SCHEME = re.compile(r"\w+?://")
_AZURE_BLOB = re.compile(r"https://(.+?)\.blob\.core\.windows\.net/(.+)")
_AZURE_HOSTS = (".blob.core.windows.net", ".file.core.windows.net")


@dataclass(frozen=True, slots=True)
class PersistentVolume:
    """A claim named by ``pvc://<claim>/<path>``, mounted instead of downloaded."""

    claim: str
    path: str


def check_storage_uri(uri: str, field: str) -> None:
    """Raise ``ResourceError`` for a URI that cannot be fetched; the text for an unknown scheme is KServe's."""
    if uri.startswith(_NOT_BUILT_YET):
        raise ResourceError(
            ResourceProblem.NOT_SUPPORTED_YET,
            field,
            f"{field}: {uri.split('://', 1)[0]}:// is not supported yet; use one of "
            f"{', '.join((*DOWNLOADED_SCHEMES, _PVC))} (StorageUri [{uri}])",
        )
    if any(host in uri for host in _AZURE_HOSTS):
        if ".file.core.windows.net" in uri:
            raise ResourceError(
                ResourceProblem.NOT_SUPPORTED_YET, field, f"{field}: Azure file shares are not supported yet ({uri})"
            )
        if _AZURE_BLOB.search(uri):
            return
    elif uri.startswith((*DOWNLOADED_SCHEMES, _PVC)) or not _SCHEME.search(uri):
        return
    raise ResourceError(
        ResourceProblem.UNSUPPORTED_STORAGE_URI,
        field,
        f"storageUri, must be one of: [{', '.join(_KSERVE_SCHEMES)}] "
        "or match https://{}.blob.core.windows.net/{}/{} "
        f"or be an absolute or relative local path. StorageUri [{uri}] is not supported",
    )


def persistent_volume(uri: str, field: str) -> PersistentVolume | None:
    """The claim and path of a ``pvc://`` URI, none for any other; raises ``ResourceError`` for one without a claim."""
    if not uri.startswith(_PVC):
        return None
    claim, _, path = uri.removeprefix(_PVC).partition("/")
    if not claim or ".." in path.split("/"):
        raise ResourceError(
            ResourceProblem.INVALID_STORAGE, field, f"{field}: {uri!r} must be pvc://<claim>/<path>, without '..'"
        )
    return PersistentVolume(claim, path.strip("/"))
