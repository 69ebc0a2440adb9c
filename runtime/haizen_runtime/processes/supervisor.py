"""The parent of several serving processes: takes connections and gives each to the process with the fewest."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections import deque
from typing import Any, Final

from haizen_runtime.processes.peer import Message, as_start_error
from haizen_runtime.processes.placing import ranked, share
from haizen_runtime.processes.seat import Seat
from haizen_runtime.processes.sums import Family, kept, summed
from haizen_runtime.protocol.errors import ModelLoadFailed, RequestError, StartError
from haizen_runtime.settings import Settings
from haizen_runtime.workers.lifeline import exit_words
from haizen_runtime.workers.restarts import RestartPolicy

log = logging.getLogger("haizen_runtime.processes")

ACCEPT_AT_ONCE: Final = 64
"""Connections taken in one turn of the event loop."""
WAITING_CONNECTIONS: Final = 1024
"""Connections kept while no process can take one; more are closed."""
RETRY_SECONDS: Final = 0.05
ASK_SECONDS: Final = 2.0
"""How long a process may take to tell its metrics before its last known ones are used."""
STEADY_SECONDS: Final = 60.0
"""A process that lived for so long ends none of a crash loop: it is replaced at once."""
END_SECONDS: Final = 10.0
"""How long processes may take to end after the drain's own limit."""


def supervise(settings: Settings, count: int, cpus: int, listener: socket.socket) -> None:
    """Serve with `count` processes until a signal. Raises StartError when one of them cannot start."""
    scheme = "https" if settings.tls_cert_file else "http"
    port = listener.getsockname()[1]
    log.info("listening on %s://%s:%d with %d processes", scheme, settings.host, port, count)
    asyncio.run(Supervisor(share(settings, count, cpus), count, listener).run())


class Supervisor:
    """The processes, and the socket in front of them."""

    def __init__(self, settings: Settings, count: int, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._seats: list[Seat | None] = [None] * count
        self._waiting: deque[socket.socket] = deque()
        self._all_were_ready = False
        self._draining = asyncio.Event()
        self._signals = 0
        self._restarts = 0
        self._unloaded: set[str] = set()
        self._changing = asyncio.Lock()
        self._ended: list[Family] = []
        """What processes counted that have ended."""

    async def run(self) -> None:
        """Until all processes have ended after a signal. Raises StartError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        keepers = [asyncio.ensure_future(self._keep(index)) for index in range(len(self._seats))]
        loop.add_reader(self._listener, self._accept)
        try:
            await asyncio.gather(*keepers)
        finally:
            loop.remove_reader(self._listener)
            for seat in self._live():
                seat.process.kill()
            for keeper in keepers:
                keeper.cancel()
            for connection in self._waiting:
                connection.close()

    def _live(self) -> list[Seat]:
        return [seat for seat in self._seats if seat is not None]

    # Connections

    def _accept(self) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no descriptors left: those who wait in the kernel's queue wait a little longer
                log.warning("a connection cannot be taken: %s", error)
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._listener)
                loop.call_later(1.0, loop.add_reader, self._listener, self._accept)
                return
            self._place(connection)

    def _place(self, connection: socket.socket) -> None:
        """Give a connection away, or keep it until somebody can take it."""
        by_load = {id(seat.load): seat for seat in self._live()}
        for load in ranked(seat.load for seat in self._live()):
            if by_load[id(load)].give(connection):
                connection.close()
                return
        if len(self._waiting) >= WAITING_CONNECTIONS:
            connection.close()
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._place_waiting)
        self._waiting.append(connection)

    def _place_waiting(self) -> None:
        connections, self._waiting = self._waiting, deque()
        for connection in connections:
            self._place(connection)

    # Processes

    async def _keep(self, index: int) -> None:
        """Start a process, replace it when it ends, until the drain. Raises StartError when the first cannot start."""
        policy, started = RestartPolicy(), False
        while not self._ends():
            begun = time.monotonic()
            seat = self._spawn(index)
            code = await seat.run()
            self._seats[index] = None
            self._ended = summed((self._ended, kept(seat.metrics)))
            self._tell_state()
            if self._ends():
                return
            started = started or seat.was_ready
            if time.monotonic() - begun > STEADY_SECONDS:
                policy.answered()
            if not started and not self._all_were_ready:
                raise self._why(seat, code)
            delay = policy.ended()
            self._restarts += 1
            log.error("a serving process ended (%s); the next starts in %gs",
                      seat.failure[1] if seat.failure else exit_words(code), delay)  # fmt: skip
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._draining.wait(), delay)

    def _ends(self) -> bool:
        return self._draining.is_set()

    def _spawn(self, index: int) -> Seat:
        seat: Seat

        async def state(message: Message) -> None:
            await self._state(seat, message)

        async def failed(message: Message) -> None:
            seat.failure = (message["kind"], message["message"])

        async def change(message: Message) -> None:
            await self._change(seat, message["verb"], message["name"])

        async def scrape(message: Message) -> Message:
            return await self._scrape(seat, message["families"])

        try:
            seat = Seat(self._settings, {"state": state, "failed": failed, "change": change, "scrape": scrape})
        except OSError as error:
            raise ModelLoadFailed(f"A serving process cannot be started: {error.strerror or error}.") from error
        seat.owed = dict.fromkeys(self._unloaded, "unload")
        self._seats[index] = seat
        return seat

    @staticmethod
    def _why(seat: Seat, code: int) -> StartError:
        if seat.failure is not None:
            return as_start_error(*seat.failure)
        return ModelLoadFailed(f"A serving process ended before it had loaded the model ({exit_words(code)}).")

    async def _state(self, seat: Seat, message: Message) -> None:
        load = seat.load
        load.opened, load.received = message["open"], message["received"]
        seat.can_answer, seat.last_request = message["ready"], message["last"]
        if message["busy"] is not None:  # it drains
            seat.busy = message["busy"]
        seat.heard = True
        if seat.can_answer and not seat.was_ready:
            seat.was_ready = True
            await self._catch_up(seat)
            load.started = True
        load.ready = seat.can_answer and not seat.owed and not seat.leaving
        self._tell_state()

    async def _catch_up(self, seat: Seat) -> None:
        """Let a process that has started do what the others were told meanwhile; only then it gets connections."""
        async with self._changing:
            while seat.owed:
                name = next(iter(seat.owed))
                try:
                    await seat.peer.ask("apply", verb=seat.owed[name], name=name)
                except RequestError as error:
                    log.error("process %d could not %s %s: %s", seat.process.pid, seat.owed[name], name, error.message)
                del seat.owed[name]

    def _tell_state(self) -> None:
        """Tell all whether they are ready together; during the drain also when a request came last, and who is busy."""
        live = self._live()
        ready = [seat.load.ready for seat in live]
        if len(live) == len(self._seats) and all(ready):
            self._all_were_ready = True
        # Later, a process that is being replaced keeps nobody from the others.
        together = self._all_were_ready and any(ready)
        last = max((seat.last_request for seat in live), default=0.0) if self._ends() else 0.0
        for seat in live:
            told = (together, last, any(other.busy for other in live if other is not seat))
            if seat.heard and seat.told != told:
                seat.told = told
                seat.peer.tell("state", ready=together, last=last, busy=told[2])

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals += 1
        if self._signals > 1:
            for seat in self._live():
                seat.process.kill()
            log.warning("second signal: ending at once")
            os._exit(128 + signal.SIGTERM)
        self._draining.set()
        for seat in self._live():
            seat.busy = seat.busy or (seat.was_ready and not seat.leaving)
        self._tell_state()  # before the signal: none may take itself for the last one before it has heard of the others
        for seat in self._live():
            seat.leave(number)
        limit = self._settings.drain_timeout_seconds + END_SECONDS
        asyncio.get_running_loop().call_later(limit, self._kill)

    def _kill(self) -> None:
        for seat in self._live():
            log.warning("process %d did not end in time", seat.process.pid)
            seat.process.kill()

    # What processes ask

    async def _change(self, asking: Seat, verb: str, name: str) -> None:
        """Load or unload in all processes. The asking one goes first: what it cannot do is not begun elsewhere."""
        async with self._changing:
            await asking.peer.ask("apply", verb=verb, name=name)
            (self._unloaded.add if verb == "unload" else self._unloaded.discard)(name)
            others = [seat for seat in self._live() if seat is not asking and seat.was_ready and not seat.leaving]
            for seat in self._live():
                if not seat.was_ready and seat is not asking:
                    seat.owed[name] = verb
            results = await asyncio.gather(
                *(seat.peer.ask("apply", verb=verb, name=name) for seat in others), return_exceptions=True
            )
            failures = [
                (seat, result) for seat, result in zip(others, results, strict=True)
                if isinstance(result, Exception) and seat in self._seats  # one that ended comes back as it should be
            ]  # fmt: skip
            for seat, failure in failures:
                log.error("process %d could not %s %s and is replaced: %s", seat.process.pid, verb, name, failure)
                seat.leave()
            if failures:
                raise failures[0][1]

    async def _scrape(self, asking: Seat, families: list[Family]) -> Message:
        """The metrics of all processes together, also of those that have ended."""
        asking.metrics = families

        async def ask(seat: Seat) -> None:
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    seat.metrics = (await seat.peer.ask("snapshot"))["families"]
            except Exception as error:  # it is busy or gone: what it last said counts
                log.debug("process %d told no metrics: %s", seat.process.pid, error)

        await asyncio.gather(*(ask(seat) for seat in self._live() if seat is not asking and seat.was_ready))
        own: list[Any] = [
            ["haizen_processes", "Serving processes that can answer.", "gauge",
             [["haizen_processes", {}, sum(seat.load.ready for seat in self._live())]]],
            ["haizen_process_restarts", "Serving processes that ended and were replaced.", "counter",
             [["haizen_process_restarts_total", {}, self._restarts]]],
        ]  # fmt: skip
        return {"families": summed((*(seat.metrics for seat in self._live()), self._ended, own))}
