"""Whether the operator is alive and ready, and the HTTP endpoint that says so.

Alive means: the watches show signs of life and no reconcile hangs. A process that does not lead is alive and ready too:
it watches, and takes over when the leader goes.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from haizen_operator.metrics import Metrics


class Watches:
    """When each watch last showed a sign of life, by a monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._seen: dict[str, float] = {}

    def alive(self, kind: str) -> None:
        """A watch was opened, or brought an event or a bookmark."""
        self._seen[kind] = self._clock()

    def gone(self, kind: str) -> None:
        """The kind is not watched any more (its CRD was removed)."""
        self._seen.pop(kind, None)

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
        ready = health.started()
        return web.Response(text="ok" if ready else "starting", status=200 if ready else 503)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", scrape)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner, int(runner.addresses[0][1])
