"""http(s):// models: one file or one archive at a URL."""

import contextlib
import email.message
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from haizen_runtime.storage.errors import DownloadError, SourceChanged, TransientError, failed, misconfigured
from haizen_runtime.storage.http_client import HttpClient, Response
from haizen_runtime.storage.limits import Limits
from haizen_runtime.storage.sources import Body, Checksum, RemoteFile
from haizen_runtime.storage.uris import basename_of_url

_CONTENT_RANGE = re.compile(r"^bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)$")
_RETRIABLE = frozenset({408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524})
_ARCHIVE_TYPES = {
    "application/zip": ".zip",
    "application/x-zip-compressed": ".zip",
    "application/x-tar": ".tar",
    "application/gzip": ".tar.gz",
    "application/x-gzip": ".tar.gz",
    "application/x-gtar": ".tar.gz",
}


class HttpSource:
    """One URL; the file's name comes from the URL's path, else from Content-Disposition."""

    def __init__(self, url: str, environ: Mapping[str, str], limits: Limits, checksum: Checksum | None = None) -> None:
        self._url = url
        self._client = HttpClient(environ, limits)
        self._headers, self._credential = host_headers(url, environ)
        self._checksum = checksum

    def files(self) -> list[RemoteFile]:
        """Ask for the first byte: the answer tells size, version and whether ranges work."""
        name, size, version, resumable = "", None, None, False
        with self._client.request("GET", self._url, {**self._headers, "Range": "bytes=0-0"}) as response:
            if response.status not in (200, 206, 416):
                raise status_error(response, self._url, self._credential)
            name = file_name(self._url, response.header("Content-Disposition"), response.header("Content-Type"))
            version = version_of(response)
            total = parse_content_range(response.header("Content-Range"))[2]
            size = total if response.status in (206, 416) else content_length(response)
            resumable = response.status == 206 and size is not None and version is not None
        if response.status == 416 and size != 0:
            raise failed("the server refuses ranges (416) but names no empty file", self._url)
        return [RemoteFile(name, self._url, size, version, resumable, self._checksum)]

    def open(self, file: RemoteFile, offset: int, length: int | None) -> contextlib.AbstractContextManager[Body]:
        """See ``Source.open``."""
        return open_url(self._client, self._url, self._headers, file, offset, length, self._credential)

    def doubts(self, file: RemoteFile) -> bool:
        """The promise comes from the user or is a digest by definition."""
        return False

    def close(self) -> None:
        """Break open connections."""
        self._client.close()


@contextlib.contextmanager
def open_url(
    client: HttpClient,
    url: str,
    headers: Mapping[str, str],
    file: RemoteFile,
    offset: int,
    length: int | None,
    credential: str,
    *,
    validate: bool = True,
) -> Iterator[Iterator[memoryview]]:
    """Stream a range of one version of ``file`` from ``url``.

    A strong ETag goes along as If-Match, a date as If-Unmodified-Since, and the answer is compared as well, because
    many servers ignore both. ``validate=False`` is for sources whose key already names immutable bytes.
    """
    sent = dict(headers)
    ranged = file.resumable and length is not None
    if ranged and length is not None:
        sent["Range"] = f"bytes={offset}-{offset + length - 1}"
        if validate and file.version is not None:
            sent["If-Match" if file.version.startswith('"') else "If-Unmodified-Since"] = file.version
    with client.request("GET", url, sent) as response:
        if response.status == 412 or (response.status == 416 and ranged):
            raise SourceChanged
        if response.status not in (200, 206):
            raise status_error(response, url, credential)
        found = version_of(response) if validate else None
        if file.version is not None and found is not None and found != file.version:
            raise SourceChanged
        if not ranged:
            size = content_length(response)
            if file.size is not None and size is not None and size != file.size:
                raise SourceChanged
            yield response.chunks(size)
            return
        start, end, total = parse_content_range(response.header("Content-Range"))
        if response.status == 200:
            raise TransientError("the server answered a range with the whole file")
        if total is not None and total != file.size:
            raise SourceChanged
        if start != offset or end is None:
            raise TransientError("the server answered with another range than the one asked for")
        yield response.chunks(min(end - offset + 1, length or 0))


def version_of(response: Response) -> str | None:
    """Return a validator that proves two answers to be the same bytes, or None.

    A strong ETag does; a Last-Modified date only when it lies a minute before the answer's own date (RFC 9110,
    8.8.2.2), since a file can change twice in one second.
    """
    etag = (response.header("ETag") or "").strip()
    if etag.startswith('"') and len(etag) > 2:
        return etag
    modified, now = response.header("Last-Modified"), response.header("Date")
    with contextlib.suppress(ValueError, TypeError):
        if modified and now and parsedate_to_datetime(now) - parsedate_to_datetime(modified) >= timedelta(minutes=1):
            return modified
    return None


def content_length(response: Response) -> int | None:
    """Return Content-Length of an answer that is neither chunked nor compressed."""
    text = response.header("Content-Length")
    if text is None or not text.isdecimal() or response.header("Transfer-Encoding"):
        return None
    return int(text)


def parse_content_range(text: str | None) -> tuple[int | None, int | None, int | None]:
    """Return (first, last, total) of a Content-Range header, None for what it does not say."""
    match = _CONTENT_RANGE.match((text or "").strip())
    if match is None:
        return None, None, None
    first, last, total = match.groups()
    return (
        int(first) if first is not None else None,
        int(last) if last is not None else None,
        None if total == "*" else int(total),
    )


def file_name(url: str, disposition: str | None, content_type: str | None) -> str:
    """Return a plain file name for what ``url`` delivers.

    The URL's own name wins when it has a suffix (KServe's rule); a server may name it otherwise. Only the last
    segment of either is used, so that no name leads out of the destination.
    """
    from_url = plain_name(basename_of_url(url))
    if "." in from_url.strip("."):
        return from_url
    message = email.message.Message()
    message["Content-Disposition"] = disposition or ""
    with contextlib.suppress(ValueError, TypeError, LookupError):
        named = plain_name(message.get_filename() or "")
        if named:
            return named
    name = from_url or "model"
    return name + _ARCHIVE_TYPES.get((content_type or "").partition(";")[0].strip().lower(), "")


def plain_name(text: str) -> str:
    """Reduce ``text`` to a file name that is safe in one directory; empty when nothing is left."""
    name = re.split(r"[/\\]", text)[-1]
    name = "".join(character for character in name if character.isprintable()).strip().lstrip(".")
    return name.encode()[-200:].decode(errors="ignore")


def status_error(response: Response, uri: str, credential: str) -> DownloadError | TransientError:
    """Turn an HTTP status into the error that says what would be right."""
    status, host = response.status, urlsplit(response.url).hostname
    if status in _RETRIABLE:
        retry_after = (response.header("Retry-After") or "").strip()
        wait = float(retry_after) if retry_after.isdecimal() else None
        return TransientError(f"{host} answered {status}", wait)
    if status in (401, 403):
        return failed(f"{host} answered {status}: access is denied with {credential}; check that it may read this", uri)
    if status in (404, 410):
        return failed(f"{host} answered {status}: there is nothing at this address; check the path", uri)
    return failed(f"{host} answered with status {status}", uri)


def host_headers(url: str, environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the request headers for a host and what to call the credentials in them.

    KServe's rule: the variable ``<host>-headers`` holds a JSON object of headers (it comes from a Secret with
    ``https-host`` and ``headers``).
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise misconfigured(f"the URL is malformed: {error}", url) from None
    name = f"{host}-headers"
    text = environ.get(name)
    if not text:
        return {}, "the user in the URL" if parts.username else "no credentials"
    try:
        headers = json.loads(text)
    except ValueError:
        headers = None
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise misconfigured(f"the variable {name} must hold a JSON object of header names and strings", url)
    return headers, f"the headers in {name}"


def with_checksum(file: RemoteFile, checksum: Checksum | None) -> RemoteFile:
    """Return ``file`` with the user's own checksum, which outranks the source's."""
    return file if checksum is None else replace(file, checksum=checksum)
