"""A canary's life under traffic: 10 %, promoted, rolled back, again, and two edits right after a promotion."""

import threading
import time
from collections import Counter

from e2e import digits
from e2e.context import Context
from e2e.kubectl import KubectlError, Manifest, wait_for
from e2e.statistics import share_is_plausible
from e2e.stories import story

NAME = "canary"
COUNTED = 600


@story("canary", "canary: 10 %, promote, roll back, again, two edits at once", main=True, order=30)
def canary(context: Context) -> None:
    """0 failed of all; every share inside the 1e-6 binomial bounds; never a third revision in a split."""
    store = context.store
    store.upload(
        {f"variants/{seed}/model.joblib": digits.train_variant(context.workspace, seed) for seed in range(1, 6)}
    )
    context.kubectl.apply(context.inference_service(NAME, store.uri("variants/1")))
    first = revision_of(context.wait_ready(NAME))
    with (
        context.prober(NAME, f"/v1/models/{NAME}:predict", digits.one_digit()) as prober,
        TrafficWatch(context) as watch,
    ):

        def edit(variant: int | None, percent: int | None) -> None:
            predictor: Manifest = {"canaryTrafficPercent": percent}
            if variant is not None:
                predictor["model"] = {"storageUri": store.uri(f"variants/{variant}")}
            context.edit(NAME, predictor)

        def counted(phase: str, shares: dict[str, int]) -> None:
            """Count who answers while the split is Ready and observed, and judge the shares (percent)."""
            with prober.phase(phase):
                prober.wait_for(COUNTED, phase)
            check_shares(phase, prober.revisions(phase), shares)
            context.note(phase, dict(prober.revisions(phase)))

        edit(2, 10)
        ready = context.wait_ready(NAME)
        second = latest_of(ready)
        check_columns(ready, previous=90, latest=10, rolled_out=first, latest_ready=second)
        counted("10 % on the second", {first: 90, second: 10})

        edit(None, None)
        ready = wait_rolled_out(context, second)
        check_columns(ready, previous=None, latest=100, rolled_out=second, latest_ready=second)
        counted("promoted", {second: 100})

        edit(None, 0)
        ready = wait_prev(context, first)
        check_columns(ready, previous=100, latest=0, rolled_out=first, latest_ready=second)
        counted("rolled back", {first: 100})

        edit(3, 30)
        third = wait_new_revision(context, second)
        ready = context.wait_ready(NAME)
        check_columns(ready, previous=70, latest=30, rolled_out=first, latest_ready=third)
        counted("canary again", {first: 70, third: 30})

        edit(None, 100)
        edit_time = time.monotonic()
        edit(4, 10)
        edit(5, 40)
        context.note("three edits within", f"{time.monotonic() - edit_time:.2f} s")
        ready = wait_model(context, store.uri("variants/5"))
        newest = latest_of(ready)
        stable = ready["status"]["components"]["predictor"]["latestRolledoutRevision"]
        assert stable in (first, third), f"the split names {stable}, two versions back"
        counted("after the edits", {stable: 60, newest: 40})

        edit(None, None)
        ready = wait_rolled_out(context, newest)
        edit(4, 10)
        edit(1, 40)
        ready = wait_model(context, store.uri("variants/1"))
        last = latest_of(ready)
        check_columns(ready, previous=60, latest=40, rolled_out=newest, latest_ready=last)
        counted("two edits right after a promotion", {newest: 60, last: 40})
    context.note("requests", prober.summary())
    assert not prober.failures(), f"lost requests: {prober.failures()[:5]}"
    assert not watch.crowded, f"a third revision in a split: {watch.crowded[:3]}"


class TrafficWatch:
    """Looks at the Knative Service's traffic all the time and keeps every split with more than two revisions."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.crowded: list[list[str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "TrafficWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _look(self) -> None:
        while not self._stop.wait(0.4):
            try:
                service = self.context.knative_service(NAME) or {}
            except KubectlError:  # a look that failed; the next one comes at once
                continue
            traffic = (service.get("status") or {}).get("traffic") or []
            named = sorted({entry.get("revisionName", "") for entry in traffic if entry.get("percent")})
            if len(named) > 2:
                self.crowded.append(named)


def predictor_status(service: Manifest) -> Manifest:
    """Return status.components.predictor."""
    found: Manifest = service["status"]["components"]["predictor"]
    return found


def revision_of(service: Manifest) -> str:
    """Return the revision that holds all the traffic."""
    return str(predictor_status(service)["latestRolledoutRevision"])


def latest_of(service: Manifest) -> str:
    """Return the newest revision that is ready."""
    return str(predictor_status(service)["latestReadyRevision"])


def check_columns(service: Manifest, previous: int | None, latest: int, rolled_out: str, latest_ready: str) -> None:
    """Check what KServe's Prev and Latest columns and revision fields show."""
    status = predictor_status(service)
    traffic = status["traffic"]
    shown_previous = next((entry.get("percent", 0) for entry in traffic if entry.get("tag") == "prev"), None)
    shown_latest = next((entry.get("percent", 0) for entry in traffic if entry.get("latestRevision")), None)
    assert (shown_previous, shown_latest) == (previous, latest), (
        f"Prev/Latest {shown_previous}/{shown_latest}: {traffic}"
    )
    assert status["latestRolledoutRevision"] == rolled_out, status
    assert status["latestReadyRevision"] == latest_ready, status


def check_shares(phase: str, counted: Counter[str], shares: dict[str, int]) -> None:
    """Check that only the named revisions answered, each within the bounds of its share."""
    total = counted.total()
    strangers = set(counted) - set(shares)
    assert not strangers, f"{phase}: answered by {strangers}, which has no share"
    for revision, percent in shares.items():
        assert share_is_plausible(counted[revision], total, percent / 100), (
            f"{phase}: {revision} {counted[revision]} of {total}, meant {percent} %"
        )


def wait_rolled_out(context: Context, revision: str) -> Manifest:
    """Wait until a revision is the rolled-out one and the service is Ready for the newest spec."""

    def rolled_out() -> Manifest | None:
        ready = context.wait_ready(NAME)
        status = predictor_status(ready)
        return ready if status["latestRolledoutRevision"] == revision and len(status["traffic"]) == 1 else None

    return wait_for(f"{revision} is rolled out", rolled_out, explain=lambda: context.get(NAME))


def wait_prev(context: Context, revision: str) -> Manifest:
    """Wait until the tag prev points at a revision."""

    def pointed() -> Manifest | None:
        ready = context.wait_ready(NAME)
        traffic = predictor_status(ready)["traffic"]
        return (
            ready
            if any(entry.get("tag") == "prev" and entry.get("revisionName") == revision for entry in traffic)
            else None
        )

    return wait_for(f"prev points at {revision}", pointed, explain=lambda: context.get(NAME))


def wait_new_revision(context: Context, after: str) -> str:
    """Wait until a revision newer than `after` is ready; returns its name."""
    return wait_for(
        f"a revision after {after}",
        lambda: found if (found := latest_of(context.wait_ready(NAME))) > after else None,
        explain=lambda: context.get(NAME),
    )


def wait_model(context: Context, uri: str) -> Manifest:
    """Wait until the newest ready revision serves a storageUri and the service is Ready."""

    def serves() -> Manifest | None:
        ready = context.wait_ready(NAME)
        revision = context.kubectl.get("revisions.serving.knative.dev", latest_of(ready), context.namespace)
        containers = (revision or {}).get("spec", {}).get("containers", [])
        values = [entry.get("value") for container in containers for entry in container.get("env", [])]
        return ready if uri in values else None

    return wait_for(f"the newest revision serves {uri}", serves, explain=lambda: context.get(NAME))
