"""Leader election over a Lease: of several operators, one acts.

The rules are client-go's: a candidate takes the Lease when it is free or when it has seen the same renewal for longer
than the lease's duration *by its own monotonic clock* (times written by others are never compared with our wall clock).
A leader that cannot renew within the deadline stops being one; the process must exit at once then, since another may
act already.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from haizen_operator.kinds import LEASE
from haizen_operator.kube.client import KubeClient
from haizen_operator.kube.errors import ApiError

logger = logging.getLogger(__name__)
MANAGER = "haizen-leader"


class LeadershipLost(Exception):
    """This process was the leader and is not any more."""


@dataclass(frozen=True)
class LeaseTimes:
    """How long a lease lasts, within what time it must be renewed, and how often that is tried; in seconds."""

    lease: float
    renew_deadline: float
    retry: float


class LeaderElection:
    """One candidate for one Lease."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        times: LeaseTimes,
        clock: Callable[[], float],
    ):
        """`clock` is a monotonic clock in seconds."""
        self._client = client
        self._namespace, self._name, self._identity = namespace, name, identity
        self._times = times
        self._clock = clock
        self._seen: tuple[str, str, int] | None = None  # holder, renewal and number of changes, as last read
        self._seen_at = 0.0
        self._renewed_at = 0.0

    async def acquire(self) -> None:
        """Wait until this process is the leader."""
        logger.info("waiting for the lease %s/%s as %s", self._namespace, self._name, self._identity)
        while True:
            try:
                if await self._try():
                    logger.info("leader now, as %s", self._identity)
                    return
            except ApiError as error:
                logger.warning("cannot get the lease: %s", error)
            await asyncio.sleep(self._times.retry * (1.0 + 0.2 * random.random()))  # noqa: S311 (jitter, not a secret)

    async def hold(self) -> None:
        """Renew the Lease for ever.

        Raises:
            LeadershipLost: another process took it, or it could not be renewed within the deadline.
        """
        while True:
            await asyncio.sleep(self._times.retry)
            left = self._renewed_at + self._times.renew_deadline - self._clock()
            if left <= 0:  # frozen (SIGSTOP, a suspended machine) or cut off for too long
                raise LeadershipLost(f"the lease was not renewed for {self._times.renew_deadline:g} s")
            try:
                async with asyncio.timeout(left):
                    if not await self._try(renew=True):
                        raise LeadershipLost(f"{self._seen[0] if self._seen else 'somebody else'} holds the lease now")
            except (ApiError, TimeoutError) as error:
                logger.warning("cannot renew the lease: %s", error or "no answer")

    async def release(self) -> None:
        """Give the Lease back, so that the next process need not wait for it to run out."""
        try:
            async with asyncio.timeout(self._times.retry):
                lease = await self._client.get(LEASE, self._name, self._namespace)
                if lease and lease.get("spec", {}).get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.replace(LEASE, lease, manager=MANAGER)
                    logger.info("lease released")
        except (ApiError, TimeoutError) as error:
            logger.warning("cannot release the lease: %s", error or "no answer")

    def valid(self) -> bool:
        """Whether this process may act right now: the last renewal is not older than the deadline.

        Asked before every write: after a freeze (SIGSTOP, a suspended machine) work that was under way goes on before
        `hold` gets to run, and another process may be the leader by then.
        """
        return self._clock() < self._renewed_at + self._times.renew_deadline

    async def _try(self, *, renew: bool = False) -> bool:
        """Take or renew the Lease; False when another holds it, or when `renew` and it is not ours any more.

        Raises:
            ApiError: no answer, or a Conflict: somebody was faster, or an answer to a request of ours got lost.
        """
        started = self._clock()
        lease = await self._client.get(LEASE, self._name, self._namespace)
        if lease is None:
            await self._client.create(LEASE, self._new_lease(), manager=MANAGER)
            self._renewed_at = started
            return True
        spec: dict[str, Any] = lease.setdefault("spec", {})
        holder, changes = spec.get("holderIdentity") or "", int(spec.get("leaseTransitions") or 0)
        seen = (holder, str(spec.get("renewTime")), changes)
        if seen != self._seen:
            self._seen, self._seen_at = seen, started
        lasts = float(spec.get("leaseDurationSeconds") or self._times.lease)
        if holder != self._identity and (renew or (holder and started - self._seen_at < lasts)):
            return False
        if holder != self._identity:
            spec |= {"acquireTime": _now(), "leaseTransitions": changes + 1}
        spec |= {"holderIdentity": self._identity, "renewTime": _now(), "leaseDurationSeconds": self._whole_lease}
        await self._client.replace(LEASE, lease, manager=MANAGER)
        # Counted from before the request: the others count from when they see it, which is later.
        self._renewed_at = started
        return True

    @property
    def _whole_lease(self) -> int:
        return max(1, round(self._times.lease))

    def _new_lease(self) -> dict[str, Any]:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._whole_lease,
                "acquireTime": _now(),
                "renewTime": _now(),
                "leaseTransitions": 0,
            },
        }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
