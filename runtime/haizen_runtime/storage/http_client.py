"""A small HTTP/1.1 client for downloads: addresses checked once and pinned, redirects re-checked, bodies streamed.

The standard library's client is enough and imports in a tenth of the time of the larger ones, which a cold start pays.
"""

import base64
import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from haizen_runtime.storage.addresses import is_public, resolve
from haizen_runtime.storage.certificates import ca_bundle
from haizen_runtime.storage.errors import TransientError, failed, misconfigured
from haizen_runtime.storage.limits import Limits
from haizen_runtime.storage.proxies import proxy_for
from haizen_runtime.storage.uris import redact

_CHUNK = 1 << 20
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Sent to the first host only: a redirect to a content network must not carry them along.
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_NETWORK_ERRORS = (OSError, http.client.HTTPException)


@dataclass(frozen=True)
class Response:
    """The head of an answer; ``url`` is where it came from after redirects."""

    status: int
    headers: http.client.HTTPMessage
    url: str
    _raw: http.client.HTTPResponse

    def header(self, name: str) -> str | None:
        """Return one header's value."""
        value = self.headers.get(name)
        return None if value is None else str(value)

    def read(self, limit: int) -> bytes:
        """Read a small body; raises DownloadError when it is larger than ``limit`` bytes."""
        try:
            body = self._raw.read(limit + 1)
        except _NETWORK_ERRORS as error:
            raise TransientError(f"the answer was cut: {error}") from error
        if len(body) > limit:
            raise failed(f"the answer is larger than {limit} bytes", self.url)
        return body

    def chunks(self, expected: int | None) -> Iterator[memoryview]:
        """Yield the body in one reused buffer (use each chunk before the next).

        Raises TransientError when it ends before ``expected`` bytes came or the connection breaks.
        """
        buffer = memoryview(bytearray(_CHUNK))
        remaining = expected
        while remaining is None or remaining > 0:
            want = _CHUNK if remaining is None else min(_CHUNK, remaining)
            try:
                count = self._raw.readinto1(buffer[:want])  # what is there, without waiting for a full buffer
            except _NETWORK_ERRORS as error:
                raise TransientError(f"the connection broke: {error or type(error).__name__}") from error
            if not count:
                if remaining:
                    raise TransientError(f"the connection was cut with {remaining} bytes to go")
                return
            if remaining is not None:
                remaining -= count
            yield buffer[:count]


class HttpClient:
    """Sends GET and HEAD requests for one source; its methods are called from several threads."""

    def __init__(self, environ: Mapping[str, str], limits: Limits, *, verify: bool = True) -> None:
        self._environ = environ
        self._limits = limits
        self._verify = verify
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._open: set[_Pinned] = set()
        self._closed = False

    @contextlib.contextmanager
    def request(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Iterator[Response]:
        """Send one request, follow redirects, and yield the answer, whatever its status is.

        Raises DownloadError for an address or a redirect that is refused, TransientError for a broken connection.
        """
        current, sent = url, {"User-Agent": "haizen-runtime", "Accept-Encoding": "identity", **(headers or {})}
        first_origin = _origin(url)
        from_public = False
        for _ in range(self._limits.max_redirects + 1):
            connection, public = self._connect(current, from_public=from_public)
            from_public = from_public or public
            response = None
            try:
                response = self._send(connection, method, current, sent)
                location = response.getheader("Location")
                if response.status not in _REDIRECTS or not location:
                    yield Response(response.status, response.headers, current, response)
                    return
            finally:
                if response is not None:
                    response.close()
                self._forget(connection)
            target = _joined(current, location)
            if urlsplit(target).scheme not in ("http", "https"):
                raise failed(f"the server redirects to {redact(target)!r}, which is neither http nor https", url)
            if urlsplit(current).scheme == "https" and urlsplit(target).scheme == "http":
                raise failed(f"the server redirects from https to plain http at {redact(target)}", url)
            if _origin(target) != first_origin:
                sent = {name: value for name, value in sent.items() if name.lower() not in _SECRET_HEADERS}
            current = target
        raise failed(f"more than {self._limits.max_redirects} redirects", url)

    def close(self) -> None:
        """Break every open connection, so that readers in other threads end at once."""
        with self._lock:
            self._closed = True
            connections = list(self._open)
        for connection in connections:
            _break(connection)

    def _connect(self, url: str, *, from_public: bool) -> tuple["_Pinned", bool]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise misconfigured(f"the URL is malformed: {error}", url) from None
        if not host:
            raise misconfigured("the URL names no host", url)
        proxy = proxy_for(parts.scheme, host, port, self._environ)
        # A proxy resolves names by itself; literal addresses are still judged here.
        addresses = (
            []
            if proxy and not _is_literal(host)
            else resolve(host, port, self._limits.addresses, url, from_public=from_public)
        )
        tls = self._tls() if parts.scheme == "https" else None
        connection = _Pinned(host, port, addresses, proxy, tls, self._limits)
        with self._lock:
            if self._closed:
                raise TransientError("the client is closed")
            self._open.add(connection)
        return connection, any(is_public(address) for address in addresses)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, url: str, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if getattr(connection, "absolute_form", False):
            target = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{target}"
        sent = dict(headers)
        if parts.username and "Authorization" not in sent:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            sent["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        try:
            connection.request(method, target, headers=sent)
            return connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise failed(
                f"the server's certificate is not trusted ({error.verify_message}); name the CA bundle in "
                "AWS_CA_BUNDLE or SSL_CERT_FILE",
                url,
            ) from None
        except (UnicodeError, ValueError, http.client.InvalidURL) as error:
            raise misconfigured(f"the URL or a header is malformed: {type(error).__name__}", url) from None
        except _NETWORK_ERRORS as error:
            raise TransientError(f"no answer from {parts.hostname}: {error or type(error).__name__}") from error

    def _tls(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = _tls_context(self._environ, verify=self._verify)
            return self._context

    def _forget(self, connection: "_Pinned") -> None:
        with self._lock:
            self._open.discard(connection)
        connection.close()


def _tls_context(environ: Mapping[str, str], *, verify: bool) -> ssl.SSLContext:
    """What is trusted: SSL_CERT_FILE or REQUESTS_CA_BUNDLE in place of the machine's authorities, KServe's in addition.

    KServe's rule: its CA bundle joins the public authorities.
    """
    file = environ.get("SSL_CERT_FILE") or environ.get("REQUESTS_CA_BUNDLE") or None
    added = ca_bundle(environ)
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        raise misconfigured(f"the CA bundle {file} cannot be read: {error}") from error
    try:
        if added is not None:
            context.load_verify_locations(cafile=added)
    except OSError as error:
        raise misconfigured(f"the CA bundle {added} cannot be read: {error}") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Pinned(http.client.HTTPConnection):
    """A connection to one of the addresses that were checked, with the name kept for Host and TLS."""

    def __init__(
        self,
        host: str,
        port: int,
        addresses: list[str],
        proxy: tuple[str, int, dict[str, str]] | None,
        tls: ssl.SSLContext | None,
        limits: Limits,
    ) -> None:
        super().__init__(host, port, timeout=limits.connect_timeout)
        self.default_port = 443 if tls else 80
        self._addresses = addresses
        self._tls_context = tls
        self._limits = limits
        self._proxy = proxy
        self.absolute_form = proxy is not None and tls is None
        # http.client lets go of its own reference as soon as an answer says "Connection: close".
        self.transport: socket.socket | None = None

    def connect(self) -> None:
        if self._proxy is not None:
            targets, port = [self._proxy[0]], self._proxy[1]
        else:
            targets, port = self._addresses, self.port
        self.sock = _first_that_answers(targets, port, self._limits.connect_timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(self._limits.read_timeout)
        if self._tls_context is not None:
            if self._proxy is not None:
                self._open_tunnel(self._proxy[2])
            self.sock = self._tls_context.wrap_socket(self.sock, server_hostname=self.host)
        self.transport = self.sock

    def _open_tunnel(self, headers: dict[str, str]) -> None:
        lines = [f"CONNECT {self.host}:{self.port} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        answer = http.client.HTTPResponse(self.sock, method="CONNECT")
        answer.begin()
        if answer.status != 200:
            raise OSError(f"the proxy refused the connection with status {answer.status}")


def _first_that_answers(addresses: list[str], port: int, timeout: float) -> socket.socket:
    last: OSError = OSError("no address to connect to")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=timeout)
        except OSError as error:
            last = error
    raise last


def _break(connection: _Pinned) -> None:
    if connection.transport is not None:
        with contextlib.suppress(OSError):
            connection.transport.shutdown(socket.SHUT_RDWR)


def _joined(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        urlsplit(target)
    except ValueError as error:
        raise failed(f"the server redirects to a malformed URL: {error}", url) from None
    return target


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise misconfigured(f"the URL is malformed: {error}", url) from None


def _is_literal(host: str) -> bool:
    try:
        # Also the forms that only the resolver understands: 2130706433, 0x7f.1
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return True
