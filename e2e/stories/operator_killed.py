"""The operator dies after its n-th write of a canary's life, for every n, and is restarted: the end is the same."""

import json
import re
import threading
from typing import Any

from e2e import digits
from e2e.context import Context
from e2e.faults.counting_proxy import CountingProxy
from e2e.installation import Installation
from e2e.kubectl import wait_for
from e2e.local_operator import LocalOperator
from e2e.stories import story
from haizen_cli.run.server import free_port


@story("operator-killed", "operator killed after its n-th write, n = 1..N", order=110)
def operator_killed(context: Context) -> None:
    """Same end state as undisturbed, 0 failed requests, no duplicate objects."""
    context.store.upload(
        {f"variants/{seed}/model.joblib": digits.train_variant(context.workspace, seed) for seed in (1, 2)}
    )
    with Installation(context.kubectl).operator_down():
        undisturbed, total = life(context, "life-0", kill_after=0)
        context.note("writes of an undisturbed life", total)
        requests = failed = 0
        for number in range(1, total + 1):
            print(f"    killed after write {number} of {total}", flush=True)
            end, _ = life(context, f"life-{number}", kill_after=number)
            assert end == undisturbed, f"killed after write {number}: {end} instead of {undisturbed}"
            requests += int(context.figures["requests"]["requests"])
            failed += int(context.figures["requests"]["failed"])
        context.note("kills", total)
        context.note("requests", {"requests": requests, "failed": failed})
        assert failed == 0, f"{failed} of {requests} requests were lost"


def life(context: Context, name: str, kill_after: int) -> tuple[Any, int]:
    """Live a canary's life (apply, 10 %, promote, roll back); return its normalised end and the count of writes."""
    store = context.store

    def on_write(number: int) -> None:
        if number == kill_after:
            operator.kill()

    with CountingProxy(context.kubectl.kubeconfig, context.workspace, on_write) as proxy:
        operator = LocalOperator(proxy.kubeconfig, context.workspace / "operator.log", free_port())
        keeper_stop = threading.Event()
        operator.start()
        keeper = threading.Thread(target=keep_running, args=(operator, keeper_stop), daemon=True)
        keeper.start()
        try:
            context.kubectl.apply(context.inference_service(name, store.uri("variants/1")))
            context.wait_ready(name)
            with context.prober(name, f"/v1/models/{name}:predict", digits.one_digit(), rate=20) as prober:
                context.edit(name, {"canaryTrafficPercent": 10, "model": {"storageUri": store.uri("variants/2")}})
                context.wait_split(name, [(10, True), (90, False)])
                context.edit(name, {"canaryTrafficPercent": None})
                context.wait_split(name, [(100, True)])
                context.edit(name, {"canaryTrafficPercent": 0})
                context.wait_split(name, [(0, True), (100, False)])
            context.note("requests", prober.summary())
            end = normalised(context, name)
            context.kubectl.delete("inferenceservice", name, context.namespace)
            wait_for(f"{name} is gone", lambda: context.knative_service(name) is None)  # its pods drain meanwhile
        finally:
            keeper_stop.set()
            keeper.join(timeout=10)
            operator.stop()
    # A life has a write or two more or less, as conditions come one by one or together: the last n may not come.
    starts = 2 if kill_after and proxy.writes >= kill_after else 1
    assert operator.starts == starts, f"{operator.starts} starts instead of {starts}: it died by itself; {operator.log}"
    return end, proxy.writes


def keep_running(operator: LocalOperator, stop: threading.Event) -> None:
    """Restart the operator whenever it is gone, as a Deployment does."""
    while not stop.wait(0.2):
        if not operator.running():
            operator.start()


def normalised(context: Context, name: str) -> Any:
    """Return the world of one service without what differs from run to run: names, uids, times, counters."""
    service, knative = context.get(name), context.knative_service(name)
    assert service is not None
    assert knative is not None
    revisions = context.kubectl.list(
        "revisions.serving.knative.dev", context.namespace, f"serving.knative.dev/service={name}-predictor"
    )
    component = service["status"]["components"]["predictor"]
    text = {
        "revisions": len(revisions),
        "owned": [
            len(context.kubectl.list(kind, context.namespace, f"serving.kserve.io/inferenceservice={name}"))
            for kind in ("ksvc",)
        ],
        "traffic": [
            {key: entry.get(key) for key in ("percent", "tag", "latestRevision", "revisionName")}
            for entry in knative["spec"]["traffic"]
        ],
        "latest": [
            component.get(key)
            for key in ("latestReadyRevision", "latestRolledoutRevision", "previousRolledoutRevision")
        ],
        "conditions": sorted((each["type"], each["status"]) for each in service["status"]["conditions"]),
    }
    return json.loads(re.sub(re.escape(name) + r"\b", "NAME", json.dumps(text)))
