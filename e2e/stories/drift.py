"""Somebody else edits or deletes the Knative Service."""

import json
from collections import Counter
from typing import Any

from e2e import digits
from e2e.context import Context
from e2e.kubectl import wait_for
from e2e.stories import story
from e2e.writes import operator_writes

NAME = "drifting"
MAX_SCALE = "autoscaling.knative.dev/max-scale"


@story("drift", "drift: Knative Service edited by hand, then deleted", order=60)
def drift(context: Context) -> None:
    """One write restores it, the split included; deleted, it comes back whole, with a Warning event."""
    store = context.store
    store.upload({f"variants/{seed}/model.joblib": digits.train_variant(context.workspace, seed) for seed in (1, 2)})
    context.kubectl.apply(context.inference_service(NAME, store.uri("variants/1")))
    context.wait_ready(NAME)
    context.edit(NAME, {"canaryTrafficPercent": 25, "model": {"storageUri": store.uri("variants/2")}})
    context.wait_ready(NAME)
    wanted = traffic(context)
    assert sorted(entry["percent"] for entry in wanted) == [25, 75], wanted

    before = operator_writes(context)
    by_hand = [{"latestRevision": True, "percent": 100}]
    context.kubectl.patch("ksvc", f"{NAME}-predictor", context.namespace, {"spec": {"traffic": by_hand}})
    wait_for("the split is restored", lambda: traffic(context) == wanted, explain=lambda: traffic(context))
    context.wait_ready(NAME)
    writes = operator_writes(context) - before
    spent = {key: count for key, count in writes.items() if key[1] == "Service"}
    assert sum(spent.values()) == 1, f"writes to restore the split: {dict(writes)}"
    context.note("writes to restore a split", 1)

    one = {"spec": {"template": {"metadata": {"annotations": {MAX_SCALE: "1"}}}}}
    context.kubectl.patch("ksvc", f"{NAME}-predictor", context.namespace, one)
    wait_for("the template is restored", lambda: max_scale(context) == "2")
    context.wait_ready(NAME)
    added = {"spec": {"template": {"spec": {"containerConcurrency": 7}}}}  # a field that haizen never set
    context.kubectl.patch("ksvc", f"{NAME}-predictor", context.namespace, added)
    wait_for("what was added is taken away", lambda: concurrency(context) != 7)
    context.wait_ready(NAME)
    assert traffic(context) == wanted, f"the split after both edits: {traffic(context)}"

    old_uid = (context.knative_service(NAME) or {})["metadata"]["uid"]
    context.kubectl.delete("ksvc", f"{NAME}-predictor", context.namespace)
    wait_for(
        "a new Knative Service",
        lambda: (found := context.knative_service(NAME)) and found["metadata"]["uid"] != old_uid,
    )
    status = wait_for("the newest revision has 100 %", lambda: whole(context), 240, explain=lambda: context.get(NAME))
    with context.prober(NAME, f"/v1/models/{NAME}:predict", digits.one_digit()) as prober, prober.phase("back"):
        prober.wait_for(100, "back")
    assert set(prober.revisions("back")) == {status["latestReadyRevision"]}, prober.revisions("back")
    assert not prober.failures(), prober.failures()[:5]
    assert not status.get("previousRolledoutRevision"), f"a dangling revision is named: {status}"
    events = context.kubectl.list("events", context.namespace)
    warned = [event for event in events if event["type"] == "Warning" and event["involvedObject"]["name"] == NAME]
    assert any("deleted" in event["message"].lower() or "recreated" in event["message"].lower() for event in warned), (
        json.dumps(warned)[:500]
    )
    context.note("deleted by hand", "back with the current spec at 100 %, a Warning event")


def traffic(context: Context) -> list[dict[str, object]]:
    """Return the split that the Knative Service asks for."""
    found: list[dict[str, object]] = ((context.knative_service(NAME) or {}).get("spec") or {}).get("traffic") or []
    return found


def whole(context: Context) -> dict[str, Any] | None:
    """Return the predictor's status once it is Ready and its newest revision has all shares.

    That is one target, or KServe's form for a percent without an older revision (docs/design/0003). Right after the
    deletion the status is still the one from before.
    """
    status: dict[str, Any] = context.wait_ready(NAME)["status"]["components"]["predictor"]
    shares = Counter[str]()
    for entry in status["traffic"]:
        shares[entry["revisionName"]] += entry.get("percent") or 0
    return status if shares == {status["latestReadyRevision"]: 100} else None


def concurrency(context: Context) -> object:
    """Return the template's containerConcurrency, Knative's default when nobody set one."""
    return (context.knative_service(NAME) or {})["spec"]["template"]["spec"].get("containerConcurrency")


def max_scale(context: Context) -> object:
    """Return the template's maximal scale."""
    return (context.knative_service(NAME) or {})["spec"]["template"]["metadata"]["annotations"].get(MAX_SCALE)
