"""Cold start beside its floor: the same base image with Python's own http.server, in turns, on the same cluster."""

import statistics
import time
from dataclasses import dataclass

import httpx

from e2e import digits
from e2e.context import DOMAIN, SMALL, Context
from e2e.kubectl import Manifest, is_true, wait_for

ROUNDS = 5
ALLOWANCE_SECONDS = 0.5
FLOOR, OURS = "floor", "cold"
IMPORTS = "import joblib, sklearn.linear_model, sklearn.pipeline, sklearn.preprocessing"
TIMED_IMPORT = f"import time; begin = time.perf_counter(); {IMPORTS}; print(time.perf_counter() - begin)"


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Medians in seconds, and what they were taken from."""

    floor: float
    haizen: float
    library_import: float
    rounds: list[tuple[float, float]]

    @property
    def added(self) -> float:
        """What haizen adds to the floor."""
        return self.haizen - self.floor

    @property
    def bar(self) -> float:
        """What it may add: the backend library's own import time in that pod, and half a second."""
        return self.library_import + ALLOWANCE_SECONDS


def measure(context: Context) -> ColdStart:
    """Take turns between the floor and haizen, each from zero pods; returns the medians of 5."""
    trained = digits.train(context.workspace / "digits")
    context.store.upload({"digits/sklearn/model.joblib": trained.sklearn})
    idle = {"autoscaling.knative.dev/window": "6s"}
    uri = context.store.uri("digits/sklearn")
    context.kubectl.apply(context.inference_service(OURS, uri, annotations=idle, minReplicas=0))
    context.kubectl.apply(floor(context.namespace))
    context.wait_ready(OURS)
    wait_for("the floor is Ready", lambda: is_true(context.kubectl.get("ksvc", FLOOR, context.namespace)))
    pod = context.pods(OURS)[0]["metadata"]["name"]
    imports = [float(exec_python(context, pod, TIMED_IMPORT)) for _ in range(3)]
    body = digits.v1_body(digits.samples(1))
    rounds: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        wait_for("no pods", lambda: not context.kubectl.list("pods", context.namespace), 300)
        begin = time.monotonic()
        headers = {"Host": f"{FLOOR}.{context.namespace}.{DOMAIN}"}
        assert httpx.get(f"{context.gateway}/", headers=headers, timeout=120).status_code == 200
        floor_seconds = time.monotonic() - begin
        wait_for("no pods", lambda: not context.kubectl.list("pods", context.namespace), 300)
        begin = time.monotonic()
        assert context.post(OURS, f"/v1/models/{OURS}:predict", body).status_code == 200
        rounds.append((floor_seconds, time.monotonic() - begin))
    return ColdStart(
        statistics.median(each for each, _ in rounds),
        statistics.median(each for _, each in rounds),
        statistics.median(imports),
        rounds,
    )


def floor(namespace: str) -> Manifest:
    """Return a Knative Service of the runtime's own image that runs nothing but Python's http.server."""
    container = {
        "image": "dev.local/haizen-runtime:e2e",
        "command": ["python3", "-m", "http.server", "8080", "--directory", "/tmp"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "resources": SMALL,
    }
    annotations = {"autoscaling.knative.dev/window": "6s", "autoscaling.knative.dev/min-scale": "0"}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": FLOOR, "namespace": namespace},
        # http.server does not hear SIGTERM as a container's first process: its pod lives for timeoutSeconds more.
        "spec": {
            "template": {
                "metadata": {"annotations": annotations},
                "spec": {"timeoutSeconds": 10, "responseStartTimeoutSeconds": 10, "containers": [container]},
            }
        },
    }


def exec_python(context: Context, pod: str, code: str) -> str:
    """Run Python inside the model server's container."""
    return context.kubectl.run(
        "exec", pod, "-n", context.namespace, "-c", "kserve-container", "--", "python3", "-c", code
    )
