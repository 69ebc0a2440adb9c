"""One reconcile: observe, decide, apply, report. The same steps whatever happened, and as often as anything happens."""

import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from haizen_operator import names
from haizen_operator.apply import carry_out, post, report
from haizen_operator.backoff import Backoff
from haizen_operator.kube.client import KubeClient
from haizen_operator.kube.errors import ApiError, Conflict, NamespaceTerminating, NotFound, Rejected
from haizen_operator.metrics import Metrics
from haizen_operator.observe import Observer
from haizen_operator.observed import Observed
from haizen_operator.plan import Again, Plan, decide
from haizen_operator.status import Problem, apply_rejected, knative_not_installed

logger = logging.getLogger(__name__)
Key = tuple[str, str]
"""Namespace and name of an InferenceService."""
SETTLE_SECONDS = 0.2
"""A Knative Service changes its status several times in a row: this much later, one look does for all of them."""


@dataclass
class Reconciler:
    """Brings one InferenceService after the other to what its spec says."""

    client: KubeClient
    observer: Observer
    metrics: Metrics
    recheck: Backoff
    resync_seconds: float
    chance: Callable[[], float] = random.random
    _rechecks: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    _applies: dict[Key, int] = field(default_factory=lambda: defaultdict(int))

    async def __call__(self, key: Key) -> float | None:
        """Reconcile; returns after how many seconds to look again, None for not before something happens.

        Raises:
            ApiError: the API did not grant what was needed; try again later.
        """
        started, outcome = time.monotonic(), "error"
        try:
            again = await self._reconcile(key)
            outcome = "ok"
            return again
        except Conflict as conflict:
            outcome = "conflict"
            logger.info("%s/%s changed in between, looking again: %s", *key, conflict)
            return self._soon(key)
        except NamespaceTerminating:
            outcome = "ok"
            logger.info("%s/%s goes with its namespace", *key)
            return self.resync_seconds  # its own deletion is an event
        except ApiError as error:
            logger.warning("cannot reconcile %s/%s: %s", *key, error)
            raise
        except Exception:
            logger.exception("cannot reconcile %s/%s", *key)
            raise
        finally:
            self.metrics.reconciles.labels(outcome).inc()
            self.metrics.reconcile_seconds.observe(time.monotonic() - started)

    async def _reconcile(self, key: Key) -> float | None:
        observed = await self.observer.observe(*key)
        if observed is None:
            self._forget(key)
            return None
        plan = decide(observed)
        if plan.acts:
            return await self._act(key, observed, plan)
        self._applies.pop(key, None)
        await report(self.client, observed.isvc, plan, _rfc3339(observed.now))
        return self._when(key, plan.again)

    async def _act(self, key: Key, observed: Observed, plan: Plan) -> float | None:
        """Apply, then look at the result before writing the status: in a burst, every service is applied first."""
        try:
            await carry_out(self.client, plan)
        except (Rejected, NotFound) as refusal:
            again = decide(observed, refused=_in_words(observed, refusal))
            await report(self.client, observed.isvc, again, _rfc3339(observed.now))
            raise
        for event in plan.action_events:
            await post(self.client, observed.isvc, event, _rfc3339(observed.now))
        if plan.again is Again.NEVER:
            self._forget(key)
            return None
        self._applies[key] += 1
        if self._applies[key] == 1:
            return SETTLE_SECONDS
        # The same again: somebody undoes what we apply, or a webhook rewrites it. Say how things are, and go slowly.
        logger.warning("%s/%s needed %d applies in a row", *key, self._applies[key])
        await report(self.client, observed.isvc, plan, _rfc3339(observed.now))
        return self._soon(key)

    def _when(self, key: Key, again: Again) -> float | None:
        if again is Again.SOON:
            return self._soon(key)
        if again is Again.NOW:
            return 0.0
        if again is Again.NEVER:
            self._forget(key)
            return None
        self._rechecks.pop(key, None)
        return self.resync_seconds * (1.0 + 0.1 * self.chance())

    def _soon(self, key: Key) -> float:
        self._rechecks[key] += 1
        return self.recheck.delay(self._rechecks[key], self.chance())

    def _forget(self, key: Key) -> None:
        self._rechecks.pop(key, None)
        self._applies.pop(key, None)


def _in_words(observed: Observed, refusal: ApiError) -> Problem:
    if isinstance(refusal, NotFound):
        return knative_not_installed()
    return apply_rejected("Knative Service", names.predictor_service_name(observed.metadata["name"]), refusal.message)


def _rfc3339(time_: datetime) -> str:
    return time_.strftime("%Y-%m-%dT%H:%M:%SZ")
