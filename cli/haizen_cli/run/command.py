"""`haizen run`: from the YAML files to running services, and to a clean end."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from haizen_cli.documents import STDIN, Document, read
from haizen_cli.errors import CliError
from haizen_cli.run.display import Display, url_table
from haizen_cli.run.events import ServiceEvent
from haizen_cli.run.fetch import cache_folder
from haizen_cli.run.gateway import Gateway
from haizen_cli.run.revision import Places
from haizen_cli.run.server import LocalServer, listen
from haizen_cli.run.supervisor import Supervisor
from haizen_cli.run.urls import base_urls, curl_line
from haizen_cli.run.watch import edits

INTERRUPTED = 130
"""The exit code after a second Ctrl-C, which ends everything without a drain."""


async def run(
    files: Sequence[str],
    *,
    host: str,
    port: int | None,
    watch: bool,
    refresh: bool,
    verbose: bool,
    out: Console,
    log: Console,
) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit code.

    Raises:
        CliError: there is nothing to serve, or the gateway cannot listen.
    """
    documents = read(files)
    listener = listen(host, port)
    gateway = Gateway()
    server = LocalServer(gateway, listener)
    display = Display(log, verbose=verbose)
    with tempfile.TemporaryDirectory(prefix="haizen-run-") as state:
        # A fresh copy is this run's own; the kept one is neither used nor changed.
        cache = Path(state) if refresh else cache_folder(os.environ)
        places = Places(cache, Path(state))
        supervisor = Supervisor(gateway, places, display.show)
        ending = _Ending(supervisor)
        with ending.on_signals():
            serving = asyncio.create_task(_serve(supervisor, server, documents, display, out, host))
            following = asyncio.create_task(_follow(files, supervisor, display, ending.begun)) if watch else None
            waiting = asyncio.create_task(ending.begun.wait())
            try:
                await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
                await waiting
            finally:
                ending.begun.set()
                for task in (serving, waiting):
                    task.cancel()
                await asyncio.gather(serving, waiting, *([following] if following else []), return_exceptions=True)
                display.close()
                if supervisor.services:
                    display.line("draining; Ctrl-C again ends at once")
                await server.stop()
                await supervisor.close()
                display.close()
        return INTERRUPTED if ending.forced else 0


async def _serve(
    supervisor: Supervisor,
    server: LocalServer,
    documents: Sequence[Document],
    display: Display,
    out: Console,
    host: str,
) -> None:
    """Bring the services up and show how to call them."""
    problems = await supervisor.apply(documents)
    if not supervisor.services:
        raise CliError("\n".join(problems) or "the files hold no InferenceService; there is nothing to serve")
    for problem in problems:
        display.show(ServiceEvent(problem, is_problem=True))
    await server.start()
    await supervisor.settled()
    display.close()
    _show_urls(supervisor, out, f"http://{host if host != '0.0.0.0' else '127.0.0.1'}:{server.port}")  # noqa: S104


def _show_urls(supervisor: Supervisor, out: Console, gateway: str) -> None:
    only_one = len(supervisor.services) == 1
    rows: list[tuple[str, str, str]] = []
    curls: list[tuple[str, str]] = []
    for key, service in sorted(supervisor.services.items()):
        selection = supervisor.selections[key]
        urls = base_urls(key, gateway, only_one=only_one)
        titles = [str(key), f"({selection.name if selection else 'custom container'})"]
        rows += [(titles[i] if i < len(titles) else "", what, url) for i, (what, url) in enumerate(urls)]
        if not service.failed:
            curls.append(curl_line(supervisor.sources[key], key, selection, urls[0][1]))
    out.print(url_table(rows))
    for what, line in curls:
        out.print(f"\nTry it with {what}:", highlight=False)
        out.print(line, soft_wrap=True, markup=False, highlight=False)
    out.print("\nEdit the YAML to roll over; Ctrl-C ends.", style="dim", highlight=False)


async def _follow(files: Sequence[str], supervisor: Supervisor, display: Display, stop: asyncio.Event) -> None:
    """Apply the files anew each time they change; a bad edit is explained and changes nothing."""
    names = [name for name in files if name != STDIN]
    if not names:
        return
    async for _ in edits(names, stop):
        try:
            problems = await supervisor.apply(read(names, edited=True))
        except CliError as error:
            problems = [str(error)]
        for problem in problems:
            display.show(ServiceEvent(f"{problem}\n  what was running keeps running", is_problem=True))


class _Ending:
    """The first SIGINT or SIGTERM begins the drain, the second one ends it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.begun = asyncio.Event()
        self.forced = False
        self._supervisor = supervisor

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take both signals while the block runs."""
        loop = asyncio.get_running_loop()
        taken = (signal.SIGINT, signal.SIGTERM)
        for number in taken:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in taken:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if self.begun.is_set():
            self.forced = True
            self._supervisor.kill()
        self.begun.set()
