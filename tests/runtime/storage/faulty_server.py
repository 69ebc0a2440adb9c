"""An HTTP server on a free loopback port whose files misbehave on request."""

import contextlib
import hashlib
import re
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from haizen_runtime.storage.staging import STAGING


@dataclass
class Served:
    """A file of the server; ``faults`` are used up one a request, the probe for the first byte aside."""

    content: bytes
    etag: str | None = None
    ranges: bool = True
    chunked: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """"503", "503:<Retry-After>", "cut" (half of the body), "stall", "trickle", "short" (a length that is too
    large), "status:<code>", "swap" (another version from this request on), "ok"."""
    next_content: bytes = b""
    honours_if_match: bool = True
    slow_chunk: int = 0
    """Bytes per 50 ms; 0 means as fast as it goes."""

    def __post_init__(self) -> None:
        if self.etag is None:
            self.etag = f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0


class FaultyServer:
    """Holds the files and the log of requests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.files: dict[str, Served] = {}
        self.redirects: dict[str, str] = {}
        self.dynamic: dict[str, Callable[[Seen], tuple[int, dict[str, str], bytes]]] = {}
        self.log: list[Seen] = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        owner = self

        class Handler(_Handler):
            state = owner

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls is not None:  # each connection's own thread shakes hands
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def body_bytes(self) -> int:
        """Bytes of bodies that left the server."""
        return sum(seen.sent for seen in self.log)

    def __enter__(self) -> "FaultyServer":
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that do not trust the certificate end the handshake."""
        if not isinstance(sys.exception(), ssl.SSLError):
            super().handle_error(*_)


class _Handler(BaseHTTPRequestHandler):
    state: Any
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        seen = Seen(self.command, self.path, dict(self.headers.items()))
        with self.state.lock:
            self.state.log.append(seen)
        with contextlib.suppress(ConnectionError):
            self._answer(seen)

    def _answer(self, seen: Seen) -> None:
        path = unquote(self.path.partition("?")[0])
        if path in self.state.redirects:
            return self._plain(302, {"Location": self.state.redirects[path]})
        for prefix, answer in self.state.dynamic.items():
            if self.path.startswith(prefix):
                return self._plain(*answer(seen))
        if path not in self.state.files:
            return self._plain(404, {})
        return self._serve(self.state.files[path], seen)

    def _serve(self, file: Served, seen: Seen) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        with self.state.lock:
            probe = asked is not None and asked.groups() == ("0", "0")
            fault = "ok" if probe or not file.faults else file.faults.pop(0)
            if fault == "swap":
                file.content, file.next_content = file.next_content, file.content
                file.etag = f'"{hashlib.sha256(file.content).hexdigest()[:16]}"'
        if fault.startswith("503"):
            return self._plain(503, {"Retry-After": fault.partition(":")[2]} if ":" in fault else {})
        if fault.startswith("status:"):
            return self._plain(int(fault.partition(":")[2]), {})
        wanted = self.headers.get("If-Match")
        if wanted and file.honours_if_match and wanted != file.etag:
            return self._plain(412, {})
        start, stop, status = 0, len(file.content), 200
        if asked and file.ranges:
            if int(asked.group(1)) >= len(file.content):
                return self._plain(416, {"Content-Range": f"bytes */{len(file.content)}"})
            start = int(asked.group(1))
            stop = min(stop, int(asked.group(2)) + 1) if asked.group(2) else stop
            status = 206
        body = memoryview(file.content)[start:stop]
        self.send_response(status)
        if file.etag:
            self.send_header("ETag", file.etag)
        for name, value in file.headers.items():
            self.send_header(name, value)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(file.content)}")
        if file.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body) + (1000 if fault == "short" else 0)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self._body(file, body[: len(body) // 2] if fault in ("cut", "stall") else body, fault, seen)
        return None

    def _body(self, file: Served, body: memoryview, fault: str, seen: Seen) -> None:
        step = file.slow_chunk or (10 if fault == "trickle" else 1 << 16)
        for offset in range(0, len(body), step):
            block = body[offset : offset + step]
            seen.sent += len(block)  # before the client can have it, and end the test
            self.wfile.write(f"{len(block):x}\r\n".encode() + block + b"\r\n" if file.chunked else block)
            if file.slow_chunk or fault == "trickle":
                time.sleep(0.05)
        if fault == "stall":
            self.state.stopping.wait(3600)
        if file.chunked and fault != "cut":
            self.wfile.write(b"0\r\n\r\n")

    def _plain(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def arrived_bytes(place: Path) -> int:
    """What a download to a place notes that it has, while it runs and after it was killed."""
    counts = b"".join(path.read_bytes() for path in place.with_name(f"{STAGING}-{place.name}").rglob("*.parts"))
    return sum(number for (number,) in struct.iter_unpack("<Q", counts))


@contextlib.contextmanager
def faulty_server() -> Iterator[FaultyServer]:
    """Run a server for a while."""
    with FaultyServer() as server:
        yield server
