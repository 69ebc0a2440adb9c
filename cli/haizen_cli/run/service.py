"""One InferenceService on this machine: its simulated Knative world, its processes, its traffic."""

import asyncio
from collections.abc import Callable
from typing import Any

from haizen_cli.errors import CliError
from haizen_cli.run.events import Event, ServiceEvent, TrafficEvent
from haizen_cli.run.gateway import Backend
from haizen_cli.run.localize import LocalContainer
from haizen_cli.run.revision import Places, RevisionRunner
from haizen_cli.run.routing import ServiceKey, Share
from haizen_cli.run.upstream import Upstream
from haizen_cli.run.world import KnativeWorld

Localize = Callable[[dict[str, Any]], LocalContainer]
"""Turns a revision's template into a local container; raises CliError when that cannot be."""


class LocalService:
    """Keeps one service as its newest YAML wants it.

    Level-based, as the operator is: `_settle` looks at what is wanted and what there is, whatever happened, and is
    called after each edit and each time a revision becomes ready, fails or goes away.
    """

    def __init__(self, key: ServiceKey, backend: Backend, places: Places, report: Callable[[Event], None]) -> None:
        self.key = key
        self.world = KnativeWorld()
        self.runners: dict[str, RevisionRunner] = {}
        self._backend = backend
        self._places = places
        self._report = report
        self._desired: dict[str, Any] | None = None
        self._canary_percent: int | None = None
        self._localize: Localize | None = None
        self._serving: tuple[Share, ...] = ()
        self._explained = ""
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False
        self._change = asyncio.Event()

    def update(self, desired: dict[str, Any], canary_percent: int | None, localize: Localize) -> None:
        """Want another YAML from now on.

        Args:
            desired: The Knative Service that the operator would apply, without traffic.
            canary_percent: ``canaryTrafficPercent``.
            localize: Turns a template into a local container.

        Raises:
            CliError: the template cannot run on this machine; nothing has changed then.
        """
        localize(desired["spec"]["template"])
        self._desired, self._canary_percent, self._localize = desired, canary_percent, localize
        self._settle()

    @property
    def ready(self) -> bool:
        """Whether the traffic is where the newest YAML wants it."""
        latest = self.world.latest_created
        return latest is not None and self.world.is_ready(latest) and self._serving == tuple(self.world.shares())

    @property
    def failed(self) -> bool:
        """Whether the newest revision failed and was never ready."""
        latest = self.world.latest_created
        runner = self.runners.get(latest or "")
        return runner is not None and runner.failure is not None and not runner.was_ready

    @property
    def serving(self) -> tuple[Share, ...]:
        """The traffic as the gateway has it."""
        return self._serving

    async def changed(self) -> None:
        """Wait until something about the service changes."""
        await self._change.wait()

    async def close(self) -> None:
        """Drain and end every process."""
        self._closed = True
        runners, self.runners = list(self.runners.values()), {}
        await asyncio.gather(*(runner.stop() for runner in runners))
        if self._stopping:
            await asyncio.gather(*self._stopping)

    def kill(self) -> None:
        """End every process at once."""
        for runner in self.runners.values():
            runner.kill()

    def _settle(self) -> None:
        if self._closed or self._desired is None:
            return
        for name, runner in self.runners.items():
            if runner.was_ready:
                self.world.mark(name, ready=True)
            elif runner.failure is not None:
                self.world.mark(name, ready=False, reason=runner.failure.reason, message=runner.failure.message)
        self.world.roll_out(self._desired, self._canary_percent)
        self._start_what_is_wanted()
        self._switch_traffic()
        self._stop_what_is_not()
        self._change.set()
        self._change = asyncio.Event()

    def _start_what_is_wanted(self) -> None:
        assert self._localize is not None
        for name in sorted(self.world.wanted() - self.runners.keys()):
            try:
                container = self._localize(self.world.template(name))
            except CliError as error:
                self._report(ServiceEvent(str(error), self.key, is_problem=True))
                continue
            runner = RevisionRunner(self.key, name, container, self._places, report=self._report, changed=self._settle)
            self.runners[name] = runner
            runner.start()

    def _switch_traffic(self) -> None:
        wanted = self.world.shares()
        upstreams: dict[str, Upstream] = {
            name: runner.upstream for name, runner in self.runners.items() if runner.upstream is not None
        }
        starting = [share for share in wanted if share.percent and self._is_first_start(share.revision)]
        if starting and any(share.revision in upstreams for share in self._serving):
            wanted = list(self._serving)  # a revision that comes back gets its share once it is up
        self._backend.set_traffic(wanted, upstreams, self.world.tags())
        decision = self.world.decision
        message = decision.message if decision is not None else ""
        if tuple(wanted) != self._serving or (message and message != self._explained):
            self._serving, self._explained = tuple(wanted), message
            if wanted:
                self._report(TrafficEvent(self.key, self._serving, message))

    def _is_first_start(self, revision: str) -> bool:
        runner = self.runners.get(revision)
        return runner is None or not runner.was_ready

    def _stop_what_is_not(self) -> None:
        in_use = self.world.wanted() | {share.revision for share in self._serving if share.percent}
        for name in [name for name in self.runners if name not in in_use]:
            runner = self.runners.pop(name)
            task = asyncio.create_task(runner.stop(), name=f"drain {name}")
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
        for name in self.world.collectable():
            if name not in self.runners:
                self.world.forget(name)
