"""From a URI to its source; each source's libraries are imported only when it is used."""

import re
from collections.abc import Mapping

from haizen_runtime.storage.errors import misconfigured
from haizen_runtime.storage.limits import Limits
from haizen_runtime.storage.sources import Source
from haizen_runtime.storage.spec import apply_storage_spec
from haizen_runtime.storage.uris import ModelUri, parse_uri

AZURE_BLOB = re.compile(r"^https://[a-z0-9]+\.(?:blob\.core\.windows\.net|z[0-9]{1,2}\.blob\.storage\.azure\.net)/")
SCHEMES = ("a path", "file://", "http://", "https://", "s3://", "gs://", "hf://")


def resolve_uri(text: str, environ: Mapping[str, str]) -> tuple[ModelUri, Mapping[str, str]]:
    """Return the URI to fetch and the environment to fetch it with, after STORAGE_CONFIG has been applied.

    Raises ValueError or DownloadError with a message for the user.
    """
    text, environ = apply_storage_spec(text, environ)
    return parse_uri(text), environ


def make_source(uri: ModelUri, environ: Mapping[str, str], limits: Limits) -> Source:
    """Return the source for ``uri``; raises DownloadError for a scheme that is not known."""
    if uri.scheme == "file":
        from haizen_runtime.storage.source_file import FileSource, local_path

        return FileSource(local_path(uri), uri.text)
    if uri.scheme in ("s3", "gs"):
        from haizen_runtime.storage.source_objects import gcs_source, s3_source

        return (s3_source if uri.scheme == "s3" else gcs_source)(uri, environ, limits)
    if uri.scheme == "https" and AZURE_BLOB.match(uri.text):
        from haizen_runtime.storage.source_objects import azure_source

        return azure_source(uri, environ, limits)
    if uri.scheme == "hf":
        from haizen_runtime.storage.source_hf import HuggingFaceSource

        return HuggingFaceSource(uri, environ, limits)
    if uri.scheme in ("http", "https"):
        from haizen_runtime.storage.source_http import HttpSource

        return HttpSource(uri.without_fragment, environ, limits)
    if uri.scheme == "pvc":
        raise misconfigured(
            "pvc:// names a volume of a cluster; in a pod it is mounted and its path is used, elsewhere give a path",
            uri.text,
        )
    raise misconfigured(f"the scheme {uri.scheme}:// is not supported; supported are {', '.join(SCHEMES)}", uri.text)
