"""The runtime's settings: one class is the source of the arguments, the environment variables and the help.

Each field is `--name=value` (with `_` or `-`) and `HAIZEN_NAME` in the environment; arguments win. The text under a
field is its help. No settings library: parsing must not cost a cold start anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from haizen_runtime.protocol.errors import InvalidConfiguration
from haizen_runtime.protocol.limits import DEFAULT_LIMITS, EVENT_ATTRIBUTES, JSON_DEPTHS, TENSOR_DIMENSIONS
from haizen_runtime.termination import DEFAULT_LOG

ENV_PREFIX: Final = "HAIZEN_"

KSERVE_ONLY: Final = frozenset({
    "grpc_port", "enable_grpc", "max_threads", "max_asyncio_workers",
    "enable_latency_logging", "configure_logging", "log_config_file", "access_log_format", "event_loop",
    "predictor_host", "protocol", "predictor_protocol", "predictor_use_ssl", "predictor_request_timeout_seconds",
    "predictor_request_retries", "enable_predictor_health_check", "grpc_max_send_message_length",
    "grpc_max_receive_message_length",
})  # fmt: skip
"""Arguments of KServe's servers that mean nothing here: accepted with a warning, so that YAML for KServe works."""

ALIASES: Final = {
    "timeout_keep_alive": "keep_alive_timeout_seconds",  # KServe's name
    "nthread": "threads",  # KServe's xgboost and lightgbm servers
    "model_class_name": "model_class",  # KServe's pytorch server
    "trust_remote_code": "allow_code",  # KServe's huggingface server
}

ENV_ALIASES: Final = {
    "STORAGE_URI": "storage_uri",  # KServe's
    "AIP_STORAGE_URI": "storage_uri",  # these are Vertex AI's
    "AIP_HTTP_PORT": "http_port",
    "AIP_HEALTH_ROUTE": "health_route",
    "AIP_PREDICT_ROUTE": "predict_route",
}
"""Variables of platforms; our own are before them, and the first of two for the same setting wins."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How one runtime process serves."""

    model_name: str = "model"
    """The name in the URLs."""
    model_dir: str = "/mnt/models"
    """The directory with the model's file, or the file itself."""
    model_format: str = ""
    """A format of docs/formats.md, sklearn for instance; empty: told from the files' names."""
    version_policy: str = "latest:1"
    """Which version directories of model_dir are served: latest:N, all, or specific:1,3 (TF Serving's and Triton's)."""
    repository_poll_seconds: float = 0.0
    """How often the model's files are looked at, to load them again when they changed; 0: only on request."""
    storage_uri: str = ""
    """Where to download the model from into model_dir before loading; the variable STORAGE_URI does the same."""
    allow_code: bool = False
    """Load formats that can carry code (joblib, pickle, model.py, PyTorch's and TensorFlow's programs)."""
    model_class: str = ""
    """The nn.Module class in the .py file beside PyTorch weights; empty: the only one there."""
    assume_batch_axis: bool = False
    """Merge requests for PyTorch models that do not say whether rows are independent (TorchScript, eager)."""
    task: str = ""
    """For transformers models: text-classification, token-classification, fill-mask, feature-extraction,
    text-generation or text2text-generation (or KServe's names); empty: told from the architecture."""
    return_probabilities: bool = False
    """Text classifiers of transformers answer a probability for each class instead of the class (KServe's name)."""
    host: str = "0.0.0.0"  # noqa: S104  # a server in a container listens on all its addresses
    """The address to listen on."""
    http_port: int = 8080
    """The port for HTTP/1.1 and h2c; 0 takes a free one."""
    health_route: str = ""
    """A further path that answers 200 when ready, beside /v2/health/ready; Vertex AI's AIP_HEALTH_ROUTE sets it."""
    predict_route: str = ""
    """A further path for predictions, v1's or v2's by their form; Vertex AI's AIP_PREDICT_ROUTE sets it."""
    processes: int = 1
    """Processes that serve on the one port, each with a copy of the model; 0: one per CPU."""
    threads: int = 0
    """Threads that one inference may use; 0 leaves it to the library."""
    device: str = "auto"
    """auto, cpu, cuda or tensorrt; auto takes a GPU where the library and the machine have one."""
    instances: int = 0
    """Batches that may run at once on threads; 0: one per CPU where the library allows it."""
    workers: int = 1
    """Worker processes for Python model code, each with the whole model in it (KServe's name); with several processes,
    in each of them."""
    worker_timeout_seconds: float = 600.0
    """How long Python model code may take for one call; then a coroutine is cancelled, and the process of code that
    goes on is ended and replaced. 0 for no limit."""
    stream_window_answers: int = 16
    """The most answers of one streaming call to Python code that may be on their way to a slow reader; then its
    generator waits."""
    stream_window_bytes: int = 1024 * 1024
    """With so many bytes of such answers on their way the generator waits, too; one answer alone may be larger."""
    batching: str = "adaptive"
    """off, fixed or adaptive. adaptive: what arrived while the model was busy runs together, and nothing waits for
    company; fixed: a batch waits until it is full or max_batch_delay_seconds are over."""
    max_batch_rows: int = 128
    """The most rows that run as one batch; 1 turns batching off."""
    max_batch_delay_seconds: float = 0.0
    """How long a request may wait for others to join its batch; with fixed batching only."""
    batch_place: str = "auto"
    """Where batches run: loop, thread, or auto (the event loop only for listed models whose measured cost is tiny).
    Models that stream or explain always run on threads."""
    queue_limit: int = 2048
    """The most requests that may wait, for a batch or for their model; more are answered with 503 at once."""
    queue_timeout_seconds: float = 0.0
    """How long a request may wait for its turn before it is answered with 503; 0 for no limit. Triton's request
    parameter timeout (microseconds) shortens it for one request."""
    priority_levels: int = 0
    """Triton's levels for the request parameter priority: 1 runs first. What is 0 or above the levels gets
    default_priority_level; 0: any number may be sent, the lower runs first."""
    default_priority_level: int = 1
    """The level of requests that name none, with priority_levels."""
    load_wait_seconds: float = 295.0
    """How long a request may wait for its model to be loaded, a little less than Knative's 300; 0: none waits."""
    request_timeout_seconds: float = 600.0
    """How long a request may take in the queue and the model; 0 for no limit."""
    max_body_bytes: int = 64 * 1024 * 1024
    """The largest request body, as sent."""
    max_decompressed_bytes: int = 0
    """The largest request body once it is decompressed; 0: as max_body_bytes."""
    max_waiting_bytes: int = 0
    """The most bytes that the bodies of requests may have together while they wait for their model to be loaded; 0:
    twice max_body_bytes."""
    max_json_depth: int = DEFAULT_LIMITS.json_depth
    """How many levels of objects and lists a JSON body may have, between 4 (an infer request's) and 254 (more than that
    orjson does not write); the default is Triton's limit."""
    max_tensor_dimensions: int = DEFAULT_LIMITS.tensor_dimensions
    """The most dimensions of an input, between 1 and 32, where numpy 1 ends."""
    max_event_attributes: int = DEFAULT_LIMITS.event_attributes
    """The most attributes of a CloudEvent, 4 or more: every event has 4."""
    max_request_id_bytes: int = DEFAULT_LIMITS.request_id_bytes
    """A longer x-request-id does not come back with the answer and is not logged; 32 or more, as many as an id has that
    the access log makes."""
    max_stream_requests: int = 64
    """The most requests of one gRPC stream that are under way at once; the next one is read when one is answered."""
    read_timeout_seconds: float = 60.0
    """How long a request's body may take to arrive."""
    header_timeout_seconds: float = 20.0
    """How long a request's headers may take to arrive once the first of their bytes came."""
    write_timeout_seconds: float = 60.0
    """How long a client may leave unread what is sent to it; then its connection is ended."""
    keep_alive_timeout_seconds: int = 65
    """How long an idle connection stays open."""
    max_connections: int = 10000
    """The most connections at once; more are answered with 503. 0 for no limit."""
    max_connection_streams: int = 0
    """The most HTTP/2 streams that a client may have open at once on one connection, at most 128, where zttp ends; 0:
    128, and 32 with several processes, each of which serves whole connections."""
    compress_above_bytes: int = 0
    """Inference answers larger than this are compressed for clients that accept gzip or deflate; 0: none is.
    Off as shipped: many clients accept it unasked, and in a cluster the bytes cost less than the compression."""
    enable_docs_url: bool = False
    """Answer /docs (Swagger's page) and /openapi.json."""
    model_control_mode: str = "none"
    """none, or explicit: models may be loaded and unloaded on request (Triton's words)."""
    api_keys_file: str = ""
    """A file of API keys, one a line; then every request but probes needs one. Read again when it changes."""
    tls_cert_file: str = ""
    """The server's certificate with its chain (PEM); the port then speaks TLS only. Read again when it changes."""
    tls_key_file: str = ""
    """The certificate's private key (PEM)."""
    tls_client_ca_file: str = ""
    """Certificate authorities (PEM): clients must have a certificate of one of them."""
    access_log: str = "off"
    """Which requests get a log line: off, errors (answers from 400 on, gRPC's other than OK) or all."""
    log_format: str = "text"
    """text, or json: each line a JSON object."""
    drain_quiet_seconds: float = 1.0
    """After SIGTERM, requests are accepted until none came for this long."""
    drain_timeout_seconds: float = 60.0
    """After SIGTERM, the longest time until the process ends."""
    termination_log: str = DEFAULT_LOG
    """Where a fatal start error is written as one JSON line, if the file can be written."""
    log_level: str = "info"
    """debug, info, warning or error."""

    @classmethod
    def parse(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
        """Settings from arguments and environment, and warnings about arguments without effect.

        Raises InvalidConfiguration: one line that says what was wrong and what would be right.
        """
        kinds = {field.name: type(field.default) for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, kind in kinds.items():
            text = environment.get(ENV_PREFIX + name.upper())
            if text is not None:
                values[name] = _convert(text, kind, ENV_PREFIX + name.upper())
        for variable, name in ENV_ALIASES.items():
            if name not in values and environment.get(variable):
                values[name] = _convert(environment[variable], kinds[name], variable)
        warnings = []
        for name, value, shown in _pairs(arguments, kinds):
            if name in KSERVE_ONLY:
                warnings.append(f"{shown} is an argument of KServe's server and has no effect here")
            else:
                values[name] = _convert(value, kinds[name], shown)
        return cls(**values)._checked(), warnings

    def _checked(self) -> Settings:
        _in_range("--http_port", self.http_port, 0, 65535)
        for name in ("workers", "max_batch_rows", "queue_limit", "max_body_bytes", "keep_alive_timeout_seconds",
                     "max_stream_requests", "stream_window_answers", "stream_window_bytes"):  # fmt: skip
            _in_range(f"--{name}", getattr(self, name), 1, 2**62)
        for name in ("threads", "instances", "max_connections", "compress_above_bytes", "max_batch_delay_seconds",
                     "worker_timeout_seconds", "request_timeout_seconds", "load_wait_seconds", "drain_quiet_seconds",
                     "drain_timeout_seconds", "repository_poll_seconds", "queue_timeout_seconds", "priority_levels",
                     "processes", "max_decompressed_bytes", "max_waiting_bytes"):  # fmt: skip
            _in_range(f"--{name}", getattr(self, name), 0, 2**62)
        for name in ("read_timeout_seconds", "header_timeout_seconds", "write_timeout_seconds"):
            _in_range(f"--{name}", getattr(self, name), 0.001, 2**62)
        _in_range("--max_connection_streams", self.max_connection_streams, 0, 128, "zttp takes no more")
        _in_range("--max_json_depth", self.max_json_depth, *JSON_DEPTHS,
                  "an infer request has 4 levels, and orjson writes no more than 254")  # fmt: skip
        _in_range("--max_tensor_dimensions", self.max_tensor_dimensions, *TENSOR_DIMENSIONS, "numpy 1 has no more")
        _in_range("--max_event_attributes", self.max_event_attributes, *EVENT_ATTRIBUTES, "every CloudEvent has 4")
        _in_range("--max_request_id_bytes", self.max_request_id_bytes, 32, 2**62, "ids that are made here have 32")
        for name in ("health_route", "predict_route"):
            route = getattr(self, name)
            if route and not route.startswith("/"):
                raise InvalidConfiguration(f'--{name}="{route[:80]}" must be a path that begins with /.')
        _one_of("--batching", self.batching, ("off", "fixed", "adaptive"))
        if (self.batching == "fixed") != (self.max_batch_delay_seconds > 0):
            raise InvalidConfiguration(
                "--max_batch_delay_seconds and --batching=fixed belong together: adaptive batches never wait, "
                "fixed ones wait for so long."
            )
        if self.priority_levels:
            _in_range("--default_priority_level", self.default_priority_level, 1, self.priority_levels)
        _one_of("--batch_place", self.batch_place, ("auto", "loop", "thread"))
        _one_of("--device", self.device, ("auto", "cpu", "cuda", "tensorrt"))
        _one_of("--model_control_mode", self.model_control_mode, ("none", "explicit"))
        _one_of("--access_log", self.access_log, ("off", "errors", "all"))
        _one_of("--log_format", self.log_format, ("text", "json"))
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise InvalidConfiguration("TLS needs both --tls_cert_file and --tls_key_file.")
        if self.tls_client_ca_file and not self.tls_cert_file:
            raise InvalidConfiguration("--tls_client_ca_file needs --tls_cert_file and --tls_key_file.")
        _one_of("--log_level", self.log_level, ("debug", "info", "warning", "error"))
        if not self.model_name or any(char in self.model_name for char in "/:?#% "):
            raise InvalidConfiguration(
                f'--model_name="{self.model_name[:80]}" cannot be part of a URL: '
                "it must not be empty or contain /:?#% or spaces."
            )
        return self


def _pairs(arguments: Sequence[str], kinds: Mapping[str, type]) -> list[tuple[str, str, str]]:
    """Arguments as (field, value, as typed); a boolean needs no value."""
    pairs = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            raise InvalidConfiguration(f"Unexpected argument {argument[:80]}; arguments have the form --name=value.")
        typed, equals, value = argument[2:].partition("=")
        name = typed.replace("-", "_").lower()
        name = ALIASES.get(name, name)
        if name not in kinds and name not in KSERVE_ONLY:
            raise InvalidConfiguration(_unknown(typed, kinds))
        if not equals:
            is_flag = kinds.get(name) is bool
            if rest and not rest[0].startswith("--") and (not is_flag or rest[0].lower() in _BOOLEANS):
                value = rest.pop(0)
            elif is_flag:
                value = "true"
            elif name not in KSERVE_ONLY:
                raise InvalidConfiguration(f"--{typed} needs a value: --{typed}=...")
        pairs.append((name, value, f"--{typed}"))
    return pairs


def _unknown(typed: str, kinds: Mapping[str, type]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(typed.replace("-", "_").lower(), list(kinds), n=1, cutoff=0.0)
    return f"Unknown argument --{typed[:80]}; did you mean --{close[0]}?"


_BOOLEANS: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def _convert(text: str, kind: type, where: str) -> Any:
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise InvalidConfiguration(f'{where}="{text[:80]}" must be true or false.')
        return _BOOLEANS[text.lower()]
    try:
        value = kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise InvalidConfiguration(f'{where}="{text[:80]}" must be {wanted}.') from None
    return value


def _in_range(where: str, value: float, low: float, high: float, why: str = "") -> None:
    if not low <= value <= high:
        limit = f"between {low:g} and {high:g}" if high < 2**60 else f"{low:g} or more"
        raise InvalidConfiguration(f"{where}={value:g} must be {limit}{why and f' ({why})'}.")


def _one_of(where: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidConfiguration(f'{where}="{value[:80]}" must be one of {", ".join(allowed)}.')
