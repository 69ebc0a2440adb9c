"""New revisions that never work: nothing of the traffic goes there, the condition says why, and editing back heals."""

from e2e import digits
from e2e.context import Context
from e2e.kubectl import Manifest
from e2e.stories import story

NAME = "steady"
RATE = 20.0  # requests a second; crashing pods and their successors start on the same two cores


@story("bad-canary", "bad canary: corrupt model, unknown image, crash at start", main=True, order=40)
def bad_canary(context: Context) -> None:
    """All traffic stays on the old revision, 0 failed; the condition names the cause; editing it back heals."""
    store = context.store
    good = digits.train_variant(context.workspace, 1)
    corrupt = context.workspace / "corrupt.joblib"
    corrupt.write_bytes(b"\x80\x04this was never a model")
    store.upload({"variants/1/model.joblib": good, "corrupt/model.joblib": corrupt})
    context.kubectl.apply(context.inference_service(NAME, store.uri("variants/1")))
    old = str(context.wait_ready(NAME)["status"]["components"]["predictor"]["latestRolledoutRevision"])
    bad: list[tuple[str, Manifest, str]] = [
        ("corrupt model file", {"storageUri": store.uri("corrupt")}, "ModelLoadFailed"),
        ("unknown image", {"image": "dev.local/there-is-no-such-image:1"}, "there-is-no-such-image"),
        ("crash at start", {"command": ["/bin/sh", "-c", "echo the lamp is broken >&2; exit 7"]}, "exit code 7"),
    ]
    with context.prober(NAME, f"/v1/models/{NAME}:predict", digits.one_digit(), rate=RATE) as prober:
        for number, (what, model, said) in enumerate(bad):
            percent = 10 if number % 2 == 0 else None
            with prober.phase(what):
                context.edit(NAME, {"canaryTrafficPercent": percent, "model": model})
                told = context.wait_condition(NAME, said)
                prober.wait_for(200, what)
            context.note(what, f"{told['reason']}: {told['message']}")
            assert old in told["message"], f"{what}: the message does not say that {old} serves: {told['message']}"
            answered = prober.revisions(what)
            assert set(answered) == {old}, f"{what}: answered by {dict(answered)}"
            back = dict.fromkeys(model) | {"storageUri": store.uri("variants/1")}
            context.edit(NAME, {"canaryTrafficPercent": None, "model": back})
            healed = context.wait_ready(NAME)
            old = str(healed["status"]["components"]["predictor"]["latestRolledoutRevision"])
    context.note("requests", prober.summary())
    assert not prober.failures(), f"lost requests: {prober.failures()[:5]}"
