"""HTTP(S)_PROXY and NO_PROXY, as curl and most clients read them."""

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from haizen_runtime.storage.errors import misconfigured


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> tuple[str, int, dict[str, str]] | None:
    """Return (host, port, headers) of the proxy for a URL, or None for a direct connection.

    Raises DownloadError when the variable is no ``http://host:port``.
    """
    name = f"{scheme}_proxy"
    # HTTP_PROXY in capitals can be set by a request header under CGI, but no pod is a CGI program.
    text = environ.get(name) or environ.get(name.upper()) or environ.get("all_proxy") or environ.get("ALL_PROXY")
    if not text or is_excluded(host, port, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError
        headers = {}
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return parts.hostname, parts.port or 80, headers
    except ValueError:
        raise misconfigured(f"{name.upper()} must look like http://host:port") from None


def is_excluded(host: str, port: int, no_proxy: str) -> bool:
    """Say whether ``no_proxy`` (comma-separated hosts and domain suffixes, or ``*``) covers ``host``."""
    host = host.lower().rstrip(".")
    for entry in no_proxy.lower().split(","):
        item = entry.strip().lstrip(".")
        if item == "*" or (item and (host == item or host.endswith(f".{item}") or item == f"{host}:{port}")):
            return True
    return False
