"""From a URI to its source; each source's libraries are imported only when it is used."""

from collections.abc import Mapping

from haizen_runtime.storage.errors import misconfigured
from haizen_runtime.storage.limits import Limits
from haizen_runtime.storage.sources import Source
from haizen_runtime.storage.spec import apply_storage_spec
from haizen_runtime.storage.uris import ModelUri, parse_uri

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
    if uri.scheme in ("http", "https"):
        from haizen_runtime.storage.source_http import HttpSource

        return HttpSource(uri.without_fragment, environ, limits)
    if uri.scheme == "pvc":
        raise misconfigured(
            "pvc:// names a volume of a cluster; in a pod it is mounted and its path is used, elsewhere give a path",
            uri.text,
        )
    raise misconfigured(f"the scheme {uri.scheme}:// is not supported; supported are {', '.join(SCHEMES)}", uri.text)
