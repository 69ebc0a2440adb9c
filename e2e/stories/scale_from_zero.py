"""A service without pods: the first request brings one up, and a burst loses nothing."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from e2e import digits
from e2e.context import Context
from e2e.stories import story

FAST_IDLE = {"autoscaling.knative.dev/window": "6s"}


@story("zero", "scale from zero", main=True, order=20)
def scale_from_zero(context: Context) -> None:
    """5 cold starts and 50 requests at once from zero, all answered 200."""
    trained = digits.train(context.workspace / "digits")
    context.store.upload({"digits/sklearn/model.joblib": trained.sklearn})
    service = context.inference_service(
        "idle", context.store.uri("digits/sklearn"), annotations=FAST_IDLE, minReplicas=0
    )
    context.kubectl.apply(service)
    context.wait_ready("idle")
    body = digits.v1_body(digits.samples(1))
    cold: list[float] = []
    for _ in range(5):
        context.wait_no_pods("idle")
        begin = time.monotonic()
        answer = context.post("idle", "/v1/models/idle:predict", body)
        assert answer.status_code == 200, answer.text
        cold.append(time.monotonic() - begin)
    context.wait_no_pods("idle")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: context.post("idle", "/v1/models/idle:predict", body).status_code, range(50)))
    assert answers == [200] * 50, f"50 at once from zero: {answers}"
    context.note(
        "cold start, median of 5", f"{statistics.median(cold):.2f} s ({', '.join(f'{each:.2f}' for each in cold)})"
    )
    context.note("50 at once from zero", "50 answered 200")
