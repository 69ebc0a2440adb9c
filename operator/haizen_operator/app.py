"""kopf's part: watch, and put the key of the InferenceService concerned into the queue. Nothing else happens here.

kopf writes nothing: handlers are `on.event` only (no annotations, no finalizers), peering is off, and no events are
posted.
"""

import logging
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import kopf
from yarl import URL

from haizen_operator import names
from haizen_operator.apply import STATUS_MANAGER
from haizen_operator.health import Watches
from haizen_operator.kinds import (
    CLUSTER_SERVING_RUNTIME,
    INFERENCE_SERVICE,
    KNATIVE_SERVICE,
    SERVING_RUNTIME,
    Kind,
)
from haizen_operator.kube.connection import Credentials
from haizen_operator.observe import Observer
from haizen_operator.queue import WorkQueue
from haizen_operator.reconcile import SETTLE_SECONDS, Key

logger = logging.getLogger(__name__)
Handler = Callable[..., Coroutine[Any, Any, None]]
"""Called with kopf's keyword `event`, of which only the type and the object are looked at."""
WATCHED = (INFERENCE_SERVICE, KNATIVE_SERVICE, SERVING_RUNTIME, CLUSTER_SERVING_RUNTIME)
WATCH_SECONDS = 300
"""How long the server keeps one watch open; it is then continued where it ended."""


class EndlessBackoff:
    """Pauses between tries of kopf's own requests, without an end: an API server away for an hour comes back."""

    def __iter__(self) -> Iterator[float]:
        delay = 1.0
        while True:
            yield delay
            delay = min(delay * 2.0, 15.0)


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps kopf from computing and storing what changed in an object: we never ask, and it costs time in a burst."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> Any:
        """Nothing is essential."""
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:
        """Nothing was stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Nothing is stored."""


@dataclass
class RuntimeUsers:
    """Which InferenceServices a change of a runtime concerns, and what of an InferenceService was seen last."""

    _runtime_of: dict[Key, str | None] = field(default_factory=dict)
    _edition_of: dict[Key, tuple[Any, ...]] = field(default_factory=dict)

    def update(self, isvc: dict[str, Any]) -> bool:
        """Remember which runtime an InferenceService uses or asks for; returns whether anybody but us changed it."""
        status = isvc.get("status") or {}
        asked = ((isvc.get("spec") or {}).get("predictor") or {}).get("model") or {}
        name = asked.get("runtime") or status.get("servingRuntimeName") or status.get("clusterServingRuntimeName")
        key, metadata = _key(isvc), isvc["metadata"]
        self._runtime_of[key] = name
        edition = (
            *(metadata.get(it) for it in ("uid", "generation", "annotations", "labels", "finalizers")),
            [it for it in metadata.get("managedFields") or [] if _is_status_of_others(it)],
        )
        edited = self._edition_of.get(key) != edition
        self._edition_of[key] = edition
        return edited

    def remove(self, key: Key) -> bool:
        """Forget an InferenceService that was deleted; returns True, since its deletion is an edit as well."""
        self._runtime_of.pop(key, None)
        self._edition_of.pop(key, None)
        return True

    def keys(self) -> list[Key]:
        """All InferenceServices known."""
        return list(self._runtime_of)

    def of(self, runtime: dict[str, Any]) -> list[Key]:
        """The services that use the runtime or have none yet, of its namespace if it has one."""
        name, namespace = runtime["metadata"]["name"], runtime["metadata"].get("namespace")
        return [
            key
            for key, used in self._runtime_of.items()
            if used in (None, name) and (namespace is None or key[0] == namespace)
        ]


def make_registry(
    queue: WorkQueue[Key], users: RuntimeUsers, observer: Observer, watches: Watches
) -> kopf.OperatorRegistry:
    """The handlers: each turns an event into keys."""
    registry = kopf.OperatorRegistry()

    def on(kind: Kind) -> Callable[[Handler], Handler]:
        return cast(
            Callable[[Handler], Handler], kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)
        )

    @on(INFERENCE_SERVICE)
    async def inference_service(event: Any, **_: Any) -> None:
        watches.alive(INFERENCE_SERVICE.plural)
        isvc = event["object"]
        edited = users.update(isvc) if event["type"] != "DELETED" else users.remove(_key(isvc))
        if edited:  # else it is the echo of our own status
            queue.add(_key(isvc), urgent=True)

    @on(KNATIVE_SERVICE)
    async def knative_service(event: Any, **_: Any) -> None:
        watches.alive(KNATIVE_SERVICE.plural)
        key = _parent(event["object"])
        if key is not None:
            queue.add_after(key, SETTLE_SECONDS)

    @on(SERVING_RUNTIME)
    async def serving_runtime(event: Any, **_: Any) -> None:
        _runtime(SERVING_RUNTIME, event["object"])

    @on(CLUSTER_SERVING_RUNTIME)
    async def cluster_serving_runtime(event: Any, **_: Any) -> None:
        _runtime(CLUSTER_SERVING_RUNTIME, event["object"])

    def _runtime(kind: Kind, runtime: dict[str, Any]) -> None:
        watches.alive(kind.plural)
        observer.runtimes.forget(runtime["metadata"].get("namespace") or "")
        for key in users.of(runtime):
            queue.add(key)

    return registry


def look_at_all(queue: WorkQueue[Key], users: RuntimeUsers) -> None:
    """Put every InferenceService into the queue."""
    for key in users.keys():  # noqa: SIM118 (a method of ours, not a dict)
        queue.add(key)


def add_login(
    registry: kopf.OperatorRegistry, login: Any, watches: Watches, services_listed: Callable[[], None]
) -> None:
    """Let kopf log in with our own credentials, and note its requests as signs of life of the watches.

    `services_listed` is called after each list of Knative Services: at the start, and whenever a watch cannot go on
    where it ended. A Knative Service that was deleted meanwhile is in no event, and must come back.
    """

    async def handler(**_: Any) -> kopf.AiohttpSession:
        credentials = await login()
        session = _session(credentials, watches, services_listed)
        return kopf.AiohttpSession(server=credentials.server, aiohttp_session=session)

    kopf.on.login(registry=registry)(handler)


def make_settings(*, inactivity_seconds: float, request_timeout_seconds: float) -> kopf.OperatorSettings:
    """kopf's settings: quick to start, never giving up, writing nothing."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.inactivity_timeout = inactivity_seconds
    settings.watching.reconnect_backoff = 0.1
    settings.watching.connect_timeout = 10.0
    settings.networking.request_timeout = request_timeout_seconds
    settings.networking.connect_timeout = 10.0
    settings.networking.error_backoffs = EndlessBackoff()
    # Only our own children and KServe's: other people's Knative Services are none of our business, nor of our memory.
    settings.watching.label_selectors[KNATIVE_SERVICE.group, KNATIVE_SERVICE.version, KNATIVE_SERVICE.plural] = (
        names.LABEL_INFERENCE_SERVICE
    )
    return settings


def _session(credentials: Credentials, watches: Watches, services_listed: Callable[[], None]) -> aiohttp.ClientSession:
    info = kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_path,
        insecure=credentials.insecure,
        certificate_path=credentials.certificate_path,
        private_key_path=credentials.private_key_path,
        scheme=credentials.scheme,
        token=credentials.token,
    )
    kinds = {kind.path(): kind.plural for kind in WATCHED}

    async def sign_of_life(_: Any, __: Any, request: aiohttp.TraceRequestStartParams) -> None:
        kind = kinds.get(URL(request.url).path)
        if kind is not None:
            watches.alive(kind)

    async def answer(_: Any, __: Any, request: aiohttp.TraceRequestEndParams) -> None:
        url, status = URL(request.url), request.response.status
        kind = kinds.get(url.path)
        if kind is not None:
            watches.answered(kind, status)
        if kind == KNATIVE_SERVICE.plural and status == 200 and "watch" not in url.query:
            services_listed()

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(sign_of_life)
    trace.on_request_end.append(answer)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        proxy=credentials.proxy_url,
        trust_env=False,
        trace_configs=[trace],
    )


def _is_status_of_others(entry: dict[str, Any]) -> bool:
    return entry.get("subresource") == "status" and entry.get("manager") != STATUS_MANAGER


def _key(isvc: dict[str, Any]) -> Key:
    return isvc["metadata"]["namespace"], isvc["metadata"]["name"]


def _parent(service: dict[str, Any]) -> Key | None:
    """The InferenceService a Knative Service belongs to, by its owner or else by its label."""
    metadata = service["metadata"]
    for reference in metadata.get("ownerReferences") or []:
        if reference.get("controller") and reference.get("kind") == INFERENCE_SERVICE.kind:
            return metadata["namespace"], reference["name"]
    name = (metadata.get("labels") or {}).get(names.LABEL_INFERENCE_SERVICE)
    return (metadata["namespace"], name) if name else None
