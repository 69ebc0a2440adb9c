"""Whether the operator is alive and ready, and the HTTP endpoint that says so.

Alive means: the watches show signs of life and no reconcile hangs. Ready means: it has started, and no watch is
refused; a restart does not help against a refusal (a missing right), but everybody must see it. A process that does not
lead is alive and ready too: it watches, and takes over when the leader goes.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from haizen_operator.metrics import Metrics

logger = logging.getLogger(__name__)
LOG_SECONDS = 60.0
"""A refusal that lasts is logged this often."""


class Watches:
    """When each watch last showed a sign of life, by a monotonic clock, and which of them the API server refuses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._refused: dict[str, tuple[int, float]] = {}
        self._logged: dict[str, float] = {}

    def alive(self, kind: str) -> None:
        """A watch was opened, or brought an event or a bookmark."""
        self._seen[kind] = self._clock()

    def gone(self, kind: str) -> None:
        """The kind is not watched any more (its CRD was removed)."""
        self._seen.pop(kind, None)
        self._refused.pop(kind, None)

    def answered(self, kind: str, status: int) -> None:
        """The API server answered a list or a watch of the kind; 401, 429 and 5xx say nothing about our rights."""
        if status < 400:
            self._refused.pop(kind, None)
            self._logged.pop(kind, None)
        elif status in (400, 403, 404, 405, 406):
            now = self._clock()
            self._refused[kind] = (status, self._refused[kind][1] if kind in self._refused else now)
            if now - self._logged.get(kind, -LOG_SECONDS) >= LOG_SECONDS:
                self._logged[kind] = now
                logger.error("%s; changes of them go unnoticed", self.refusal(kind))

    def refusal(self, kind: str) -> str | None:
        """What is wrong with a watch that the API server refuses, None for any other."""
        if kind not in self._refused:
            return None
        status, since = self._refused[kind]
        why = "may the operator's ServiceAccount list and watch them?" if status == 403 else "is the kind installed?"
        seconds = self._clock() - since
        return f"the watch of {kind} has been refused for {seconds:.0f} s: the API server answers {status}; {why}"

    def is_refused(self, kind: str) -> bool:
        """Whether the API server refused the last list or watch of the kind."""
        return kind in self._refused

    def refusals(self) -> list[str]:
        """What is wrong with each watch that is refused."""
        return [text for kind in sorted(self._refused) if (text := self.refusal(kind)) is not None]

    def age(self, kind: str) -> float:
        """Seconds since the last sign of life of a watch; 0 for one that was not started."""
        return self._clock() - self._seen[kind] if kind in self._seen else 0.0

    def dead(self, limit_seconds: float) -> list[str]:
        """The kinds whose watch has been silent for longer than the limit."""
        return sorted(kind for kind in self._seen if self.age(kind) > limit_seconds)


@dataclass(frozen=True)
class Health:
    """Answers the probes."""

    watches: Watches
    longest_busy_seconds: Callable[[], float]
    started: Callable[[], bool]
    watch_dead_seconds: float
    stuck_seconds: float

    def problems(self) -> list[str]:
        """What makes this process worth a restart; empty when it is fine."""
        found = [
            f"the watch of {kind} has been silent for {self.watches.age(kind):.0f} s"
            for kind in self.watches.dead(self.watch_dead_seconds)
        ]
        busy = self.longest_busy_seconds()
        if busy > self.stuck_seconds:
            found.append(f"a reconcile has been running for {busy:.0f} s")
        return found


async def serve(health: Health, metrics: Metrics, *, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Serve /metrics, /healthz and /readyz; returns the runner (to be cleaned up) and the port in use."""

    async def healthz(_: web.Request) -> web.Response:
        problems = health.problems()
        return web.Response(text="\n".join(problems) or "ok", status=503 if problems else 200)

    async def readyz(_: web.Request) -> web.Response:
        problems = health.watches.refusals() if health.started() else ["starting"]
        return web.Response(text="\n".join(problems) or "ok", status=503 if problems else 200)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", scrape)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])
