"""docs/limits.md: what the runtime refuses, how it says so, and where each limit comes from."""

from __future__ import annotations

from typing import Final

from haizen_runtime.backends import files
from haizen_runtime.doors.grpc import framing, metadata
from haizen_runtime.doors.http import holding, http1, http2
from haizen_runtime.protocol import errors, shapes
from haizen_runtime.reference.markdown import size, table
from haizen_runtime.settings import Settings
from haizen_runtime.storage import archives, paths, source_hf
from haizen_runtime.storage.limits import Limits
from haizen_runtime.termination import MAX_BYTES

HEADS: Final = ("What", "Limit", "Answer", "Where it comes from")
_SERVING, _STORAGE = Settings(), Limits()


def limits_page() -> str:
    """The page as Markdown."""
    lines = [
        "# Limits of the runtime",
        "",
        "What is refused, and why there. Numbers are defaults; [settings.md](settings.md) tells how to change those",
        "that have a setting. A refused request leaves the server and the requests beside it as they were.",
        "",
        "## Requests",
        "",
        *table(HEADS, _requests()),
        "",
        "Every 503 for want of room or readiness carries `Retry-After: 1`.",
        "",
        "## gRPC",
        "",
        "The limits above hold for gRPC as well. An HTTP status there is a gRPC status here:",
        "",
        *table(("HTTP", "gRPC"), _statuses()),
        "",
        *table(HEADS, _grpc()),
        "",
        "## Models",
        "",
        *table(HEADS, _models()),
        "",
        "## Downloads",
        "",
        "Each ends the start with exit code 4, or 2 where a setting or the URI is wrong.",
        "",
        *table(HEADS, _downloads()),
    ]
    return "\n".join(lines) + "\n"


def _setting(name: str) -> str:
    return f"`--{name}`"


def _requests() -> list[tuple[str, str, str, str]]:
    body = _SERVING.max_body_bytes
    return [
        ("A body, as sent", f"{size(body)} ({_setting('max_body_bytes')})", "413",
         "The pod's memory; read no further than the limit, also when chunked."),
        ("A body, decompressed", f"the same ({_setting('max_decompressed_bytes')})", "413",
         "Bombs: nothing is decompressed past the limit."),
        ("The time a body takes to arrive",
         f"{_SERVING.read_timeout_seconds:g} s ({_setting('read_timeout_seconds')})", "408", "Slow clients."),
        ("The time the headers take to arrive",
         f"{_SERVING.header_timeout_seconds:g} s ({_setting('header_timeout_seconds')})", "408", "Slow clients."),
        ("The time in which a client must read on when answers wait for it",
         f"{_SERVING.write_timeout_seconds:g} s ({_setting('write_timeout_seconds')})", "closed",
         "Clients that send and do not read; over HTTP/2 nothing more is read from them at once."),
        ("What is no HTTP, or has headers without end", "the parser's own", "400", "zttp."),
        ("What waits in memory of one body, or over HTTP/1.1 of requests ahead of their turn",
         size(http1.HIGH_WATER_BYTES), "read later", "Memory: the parser would hold 16 MiB."),
        ("Connections", f"{_SERVING.max_connections} ({_setting('max_connections')})", "503, closed",
         "File descriptors."),
        ("Requests that wait for a batch", f"{_SERVING.queue_limit} ({_setting('queue_limit')})", "503",
         "A queue that cannot be worked off in time helps nobody."),
        ("The wait for a turn in the queue", f"none ({_setting('queue_timeout_seconds')}), or what the request's "
         "parameter `timeout` allows", "503", "Triton's queue policy: who waits too long is better off elsewhere."),
        ("Requests that wait for their model to be loaded", f"{_SERVING.queue_limit} ({_setting('queue_limit')})",
         "503", "All of them enter the queue at once when it is loaded."),
        ("Bodies of requests that wait for their model", f"{size(holding.BODIES * body)} together "
         f"({_setting('max_waiting_bytes')}, else {holding.BODIES} × {_setting('max_body_bytes')})", "503",
         "The memory that the load needs."),
        ("The wait for a model", f"{_SERVING.load_wait_seconds:g} s ({_setting('load_wait_seconds')})", "503",
         "Knative's revision timeout is 300 s; a little less, so that the client is told the reason."),
        ("The time in the queue and the model",
         f"{_SERVING.request_timeout_seconds:g} s ({_setting('request_timeout_seconds')}), or what Envoy's header "
         "`x-envoy-expected-rq-timeout-ms` leaves", "504", "Nobody waits for the answer any more."),
        ("Nesting of a JSON body", f"{_SERVING.max_json_depth} levels ({_setting('max_json_depth')})", "400",
         "Triton's limit. orjson itself reads 1024 levels and writes 254."),
        ("Dimensions of an input", f"{_SERVING.max_tensor_dimensions} ({_setting('max_tensor_dimensions')})", "400",
         "More than any model has; numpy 1 ends there, numpy 2 at 64."),
        ("Elements that a shape may promise", f"2^{shapes.MAX_ELEMENTS.bit_length() - 1}", "400",
         "No setting: it is past what any body holds, and keeps the product from overflowing in numpy."),
        ("A number that its datatype cannot hold", "the datatype's range", "400", "It would wrap without a word."),
        ("A content type", "JSON, a CloudEvent, or none, or curl's default; v2: also octets; /invocations: also CSV",
         "415", "KServe's servers read the same; SageMaker's send CSV."),
        ("JSON and binary tensors of a request", "together exactly its body", "400", "No byte is guessed about."),
        ("Attributes of a CloudEvent", f"{_SERVING.max_event_attributes} ({_setting('max_event_attributes')})", "400",
         "They may come back as headers."),
        ("A content encoding", "gzip, deflate or none", "415", "What clients send."),
        ("A request ID that comes back and is logged",
         f"{_SERVING.max_request_id_bytes} bytes ({_setting('max_request_id_bytes')})", "left out",
         "Headers of answers, lines of logs."),
    ]  # fmt: skip


def _statuses() -> list[tuple[str, str]]:
    """Each status of an error that a request can get, as both doors say it."""
    found: dict[int, set[str]] = {}
    for error in _descendants(errors.RequestError):
        found.setdefault(error.status, set()).add(error.grpc_status.name)
    return [(str(status), ", ".join(sorted(names))) for status, names in sorted(found.items())]


def _descendants(kind: type[errors.RequestError]) -> list[type[errors.RequestError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _descendants(child))]


def _grpc() -> list[tuple[str, str, str, str]]:
    return [
        ("What is no gRPC frame or no protobuf message", "the wire formats' own", "INTERNAL",
         "gRPC's own servers answer the same."),
        ("`grpc-encoding`", ", ".join(name.decode() for name in framing.ENCODINGS), "UNIMPLEMENTED",
         "What gRPC's clients send."),
        ("The text of an error", f"{metadata.MAX_MESSAGE_BYTES} bytes", "shortened",
         "No setting: gRPC's clients take 8 KiB of metadata together, where each byte may become three."),
        ("Requests of one stream under way",
         f"{_SERVING.max_stream_requests} ({_setting('max_stream_requests')})", "read later",
         "One client must not fill the queue."),
        ("Streams open at once on one connection", f"128 ({_setting('max_connection_streams')})", "the client waits",
         "zttp's own limit, which the setting can only lower."),
        ("Streams of one connection in its whole life", str(http2.RETIRE_AFTER_STREAMS),
         "GOAWAY with NO_ERROR: the next ones go to another connection", "zttp breaks connections after 4096."),
        ("Streams open at once on one connection, with several processes",
         f"{http2.SHARED_STREAMS} ({_setting('max_connection_streams')})",
         "Envoy's and Go's clients open another connection; gRPC's C library waits",
         "One connection is served by one process."),
        ("Resets of one connection in its whole life", str(http2.RETIRE_AFTER_RESETS), "the same",
         "zttp breaks connections after 256."),
    ]  # fmt: skip


def _models() -> list[tuple[str, str, str, str]]:
    return [
        ("A format that can carry code (docs/formats.md)", f"only with {_setting('allow_code')}",
         "exit code 5, UntrustedFormat", "Loading it runs what is in it."),
        ("ONNX weights in another file", "a plain file beside the model", "exit code 5, UntrustedFormat",
         "A path or link in a model must not read the pod's secrets."),
        ("Model files in the directory", f"exactly one, at most {files.MAX_DEPTH} folders deep",
         "exit code 3, ModelLoadFailed", "Which of several is meant cannot be known."),
        ("Answers of a streaming model on their way",
         f"{_SERVING.stream_window_answers} ({_setting('stream_window_answers')}), and none after "
         f"{size(_SERVING.stream_window_bytes)} ({_setting('stream_window_bytes')})",
         "its generator waits", "A client that reads slowly must fill no memory."),
        ("The termination message", size(MAX_BYTES), "shortened", "Kubernetes keeps no more."),
    ]  # fmt: skip


def _downloads() -> list[tuple[str, str, str, str]]:
    def variable(name: str) -> str:
        return f"`HAIZEN_STORAGE_{name.upper()}`"

    return [
        ("Files of a model", f"{_STORAGE.max_files} ({variable('max_files')})", "refused", "Inodes and time."),
        ("Bytes of a model", f"the free space, or {variable('max_bytes')}", "refused before the first byte if known",
         "The volume."),
        ("Unpacked bytes of an archive", f"{size(_STORAGE.max_unpacked_bytes)} ({variable('max_unpacked_bytes')})",
         "refused", "The volume."),
        ("Growth of an archive", f"{_STORAGE.max_unpack_ratio} times ({variable('max_unpack_ratio')}), judged above "
         f"{size(archives.RATIO_FLOOR)}", "refused", "Archive bombs."),
        ("Members of an archive", "files and folders", "links, devices and others are refused",
         "They could lead out of the folder."),
        ("Names of files", f"relative, {paths.MAX_DEPTH} folders, {paths.MAX_COMPONENT} bytes a part; no `..`, `\\`, "
         "drive letter, control character or leading `.haizen-`", "refused", "What every file system takes."),
        ("Redirects", f"{_STORAGE.max_redirects} ({variable('max_redirects')}), never from https to http", "refused",
         "Loops; eavesdroppers."),
        ("Link-local, metadata, multicast and unspecified addresses", "never", "refused, also behind a redirect",
         "The node's credentials are there, models are not."),
        ("Private and loopback addresses", f"{variable('allow_private')}, {variable('allow_loopback')}",
         "refused when off", "Stores in the cluster need them; shared clusters may not want them."),
        ("Tries without progress", f"{_STORAGE.attempts} ({variable('attempts')})", "fails", "Time of a cold start."),
        ("A slow connection", f"{_STORAGE.min_bytes_per_second} bytes a second over {_STORAGE.stall_seconds:g} s "
         f"({variable('min_bytes_per_second')}, {variable('stall_seconds')})", "tried again", "Dead peers."),
        ("A source that changes while it is fetched", f"{_STORAGE.max_restarts} times ({variable('max_restarts')})",
         "fails", "Two versions are never mixed."),
        ("The hub's list of files", size(source_hf.MAX_LISTING), "refused", "Memory."),
    ]  # fmt: skip
