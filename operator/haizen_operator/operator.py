"""The operator as one object: what runs beside what, and in which order it starts and stops.

Everything lives in one event loop: kopf's watches fill the queue from the start, the probes answer from the start; the
workers and whatever else writes run only while this process is the leader.
"""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, cast

import kopf

from haizen_operator import app, health, startup
from haizen_operator.backoff import Backoff
from haizen_operator.config import DEFAULT_RUNTIME_IMAGE
from haizen_operator.kube.client import KubeClient
from haizen_operator.kube.connection import (
    ClusterConfiguration,
    Credentials,
    credentials_of,
    load_configuration,
)
from haizen_operator.leader import LeaderElection, LeadershipLost, LeaseTimes
from haizen_operator.metrics import Metrics
from haizen_operator.observe import Observer, Places
from haizen_operator.observed import Configuration
from haizen_operator.queue import WorkQueue
from haizen_operator.reconcile import Key, Reconciler
from haizen_operator.runtimes import kinds_without_image, load_builtin_runtimes
from haizen_operator.settings import Settings

logger = logging.getLogger(__name__)


class Operator:
    """One process of the operator."""

    def __init__(self, settings: Settings):
        """Only remembers the settings; `run` does everything."""
        self._settings = settings
        self._metrics = Metrics()
        self._watches = health.Watches()
        self._users = app.RuntimeUsers()
        self._stopping = asyncio.Event()
        self._started = False

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            NoCluster: no API server is configured.
            LeadershipLost: another process may be the leader; exit at once.
        """
        settings = self._settings
        await self._configure()  # fails early when there is no cluster
        lease_client = KubeClient(
            self._configure,
            on_request=self._metrics.on_request,
            tries=1,
            timeout_seconds=settings.lease_retry_seconds * 2,
        )
        self._election = LeaderElection(
            lease_client,
            namespace=settings.namespace,
            name=settings.lease_name,
            identity=f"{settings.identity or socket.gethostname()}_{uuid.uuid4().hex[:8]}",
            times=LeaseTimes(
                settings.lease_seconds, settings.lease_renew_deadline_seconds, settings.lease_retry_seconds
            ),
            clock=time.monotonic,
        )
        client = KubeClient(
            self._configure,
            on_request=self._metrics.on_request,
            fence=self._fence if settings.leader_election else None,
            timeout_seconds=settings.request_timeout_seconds,
        )
        async with contextlib.aclosing(_Closing(lease_client, client)):
            await self._serve(client)

    async def _serve(self, client: KubeClient) -> None:
        settings = self._settings
        observer = Observer(
            client,
            Places(settings.config_map, settings.config_namespace, settings.knative_namespace),
            settings.runtime_image,
        )
        reconciler = Reconciler(
            client,
            observer,
            self._metrics,
            Backoff(base_seconds=settings.recheck_min_seconds, max_seconds=settings.recheck_max_seconds, jitter=0.2),
            settings.resync_seconds,
        )
        queue: WorkQueue[Key] = WorkQueue(
            reconciler,
            workers=settings.workers,
            backoff=Backoff(base_seconds=1.0, max_seconds=settings.retry_max_seconds),
        )
        self._metrics.watch_queue(lambda: queue.depth)
        for kind in app.WATCHED:
            self._metrics.watch_age(kind.plural, functools.partial(self._watches.age, kind.plural))
            self._metrics.watch_refused(kind.plural, functools.partial(self._watches.is_refused, kind.plural))
        probes = health.Health(
            watches=self._watches,
            longest_busy_seconds=queue.longest_busy_seconds,
            started=lambda: self._started,
            watch_dead_seconds=settings.watch_dead_seconds,
            stuck_seconds=settings.stuck_seconds,
        )
        runner, port = await health.serve(probes, self._metrics, host=settings.http_host, port=settings.http_port)
        logger.info("metrics and probes on port %d", port)
        try:
            await self._watch_and_lead(client, observer, queue)
        finally:
            await runner.cleanup()

    async def _watch_and_lead(self, client: KubeClient, observer: Observer, queue: WorkQueue[Key]) -> None:
        registry = app.make_registry(queue, self._users, observer, self._watches)
        look_at_all = functools.partial(app.look_at_all, queue, self._users)
        app.add_login(registry, self._login, self._watches, look_at_all)
        leading = asyncio.create_task(self._lead(client, observer, queue), name="leading")
        stop_watching = asyncio.Event()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=app.make_settings(
                inactivity_seconds=self._settings.watch_inactivity_seconds,
                request_timeout_seconds=self._settings.request_timeout_seconds,
            ),
            clusterwide=True,
            # Given, or kopf asks for the name of the user, and a container's numeric user has none.
            identity=cast(Any, self._settings.identity or socket.gethostname()),
            stop_flag=stop_watching,
        )
        ours = {task for task in asyncio.all_tasks() if task not in tasks}
        watching = asyncio.create_task(kopf.run_tasks(tasks, ignored=ours), name="watching")
        # kopf has set its own handlers; ours come after, since the workers stop before the watches.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
        self._started = True
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        try:
            await asyncio.wait({leading, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if leading.done() and not leading.cancelled() and leading.exception() is not None:
                raise _only(leading.exception())
        finally:
            stopping.cancel()
            await _finish(leading)
            stop_watching.set()
            await asyncio.wait({watching}, timeout=10.0)
        if watching.done() and not watching.cancelled() and watching.exception() is not None:
            raise _only(watching.exception())
        if not self._stopping.is_set():
            raise RuntimeError("the watches ended by themselves")

    async def _lead(self, client: KubeClient, observer: Observer, queue: WorkQueue[Key]) -> None:
        """Become the leader, then do what only the leader does."""
        settings = self._settings
        async with contextlib.AsyncExitStack() as stack:
            if settings.leader_election:
                await self._election.acquire()
                stack.push_async_callback(self._election.release)
            self._metrics.leader.set(1)
            stack.callback(self._metrics.leader.set, 0)
            async with asyncio.TaskGroup() as group:
                if settings.leader_election:
                    group.create_task(self._election.hold(), name="lease")
                group.create_task(queue.run(), name="queue")
                group.create_task(self._poll_configuration(observer, queue), name="configuration")
                for what, do in self._startup(client):
                    group.create_task(startup.until_done(what, do), name=what)

    def _startup(self, client: KubeClient) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        settings = self._settings
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        if settings.install_builtin_runtimes:
            image = settings.runtime_image or DEFAULT_RUNTIME_IMAGE
            runtimes = load_builtin_runtimes(image, settings.runtime_images)
            if kinds := kinds_without_image(image, settings.runtime_images):
                logger.warning(
                    "the built-in runtimes on images of the kinds %s are left out: %s is a digest; "
                    "name these images in HAIZEN_OPERATOR_RUNTIME_IMAGES",
                    ", ".join(kinds),
                    image,
                )

            async def install() -> None:
                await startup.install_runtimes(client, runtimes, upgrade=settings.upgrade_builtin_runtimes)

            steps.append(("install the built-in runtimes", install))
        if settings.enable_knative_features:

            async def enable() -> None:
                await startup.enable_features(client, settings.knative_namespace, settings.enable_knative_features)

            steps.append(("enable Knative's features", enable))
        return steps

    async def _poll_configuration(self, observer: Observer, queue: WorkQueue[Key]) -> None:
        """Reconcile everything when a ConfigMap changed.

        They are read and not watched: a watch of single objects in several namespaces would need a right to list
        ConfigMaps everywhere.
        """
        before: Configuration | None = None
        while True:
            observer.config_maps.clear()
            observer.credentials.prune()
            try:
                now = await observer.configuration()
            except Exception as error:
                logger.warning("cannot read the configuration: %s", error)
            else:
                if before is not None and now != before:
                    logger.info("the configuration changed; looking at every InferenceService")
                    app.look_at_all(queue, self._users)
                before = now
            await asyncio.sleep(self._settings.config_poll_seconds)

    def _fence(self) -> None:
        if not self._election.valid():
            raise LeadershipLost("the lease ran out while work was under way")

    async def _configure(self) -> ClusterConfiguration:
        return await load_configuration(self._settings.kubeconfig or None)

    async def _login(self) -> Credentials:
        return await credentials_of(await self._configure())


class _Closing:
    """Several clients to close together."""

    def __init__(self, *clients: KubeClient):
        self._clients = clients

    async def aclose(self) -> None:
        for client in self._clients:
            await client.close()


async def _finish(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait until it has cleaned up; its failure is reported elsewhere."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception, BaseExceptionGroup):
        await task


def _only(error: BaseException | None) -> BaseException:
    """The error inside a group of one kind of error: losing the leadership counts before everything else."""
    assert error is not None
    if isinstance(error, BaseExceptionGroup):
        lost = error.subgroup(LeadershipLost)
        return _only((lost or error).exceptions[0])
    return error
