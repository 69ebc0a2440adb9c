"""The Lease and the clocks: only a monotonic clock of one's own decides, whatever time others have written."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from haizen_operator.kinds import LEASE
from haizen_operator.leader import LeaderElection, LeadershipLost, LeaseTimes
from tests.operator.reconcile.cluster_world import World
from tests.operator.reconcile.direct import direct
from tests.support.control_plane import ControlPlane

TIMES = LeaseTimes(lease=15.0, renew_deadline=10.0, retry=0.05)


class Clock:
    """A monotonic clock that the test moves, and how often it was read: once at the start of each look at the Lease."""

    now = 1000.0
    reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now

    async def looks(self, count: int) -> None:
        """Wait until the Lease was looked at so often, from start to end, at the time that it is."""
        wanted = self.reads + count + 1
        async with asyncio.timeout(120):
            while self.reads < wanted:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "jump",
    [
        pytest.param(timedelta(minutes=10), id="renewed ten minutes in the future"),
        pytest.param(timedelta(minutes=-10), id="renewed ten minutes ago"),
    ],
)
async def test_wall_clock_of_the_holder_has_no_say(
    world: World, control_plane: ControlPlane, namespace: str, jump: timedelta
) -> None:
    renewed = (datetime.now(UTC) + jump).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": "other", "leaseDurationSeconds": 15, "renewTime": renewed, "acquireTime": renewed}
    world.create(LEASE, {"metadata": {"name": "lease", "namespace": namespace}, "spec": spec})
    clock = Clock()
    async with direct(control_plane) as operator:
        candidate = LeaderElection(
            operator.client, namespace=namespace, name="lease", identity="me", times=TIMES, clock=clock
        )
        waiting = asyncio.create_task(candidate.acquire())
        try:
            for seconds in (0.0, 4.9, 4.9, 4.9):
                clock.now += seconds
                await clock.looks(3)
            assert not waiting.done(), "the other's lease has not run out yet"
            clock.now += 5.1
            await asyncio.wait_for(waiting, 120)
        finally:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
        lease = world.get(LEASE, "lease", namespace)
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == "me"


async def test_leader_that_slept_past_its_deadline_does_not_act(
    world: World, control_plane: ControlPlane, namespace: str
) -> None:
    clock = Clock()
    async with direct(control_plane) as operator:
        leader = LeaderElection(
            operator.client, namespace=namespace, name="lease", identity="me", times=TIMES, clock=clock
        )
        await leader.acquire()
        clock.now += 9.9
        assert leader.valid()
        clock.now += 0.2
        assert not leader.valid()
        with pytest.raises(LeadershipLost):
            await asyncio.wait_for(leader.hold(), 120)
