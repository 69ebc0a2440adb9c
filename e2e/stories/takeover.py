"""What KServe leaves behind is taken over: adopted, edited, canaried, deleted."""

from e2e import digits
from e2e.context import SMALL, Context
from e2e.installation import Installation
from e2e.kubectl import Manifest, wait_for
from e2e.stories import story
from e2e.stories.delete import KSERVE_FINALIZER, wait_gone

NAME = "inherited"
RUNTIME = "kserve-sklearnserver"
VOLUME = "kserve-provision-location"


@story("takeover", "taking over from KServe", order=80)
def takeover(context: Context) -> None:
    """An InferenceService and a Knative Service as KServe leaves them: adopted without a lost request."""
    store = context.store
    store.upload({f"variants/{seed}/model.joblib": digits.train_variant(context.workspace, seed) for seed in (1, 2, 3)})
    installation = Installation(context.kubectl)
    context.kubectl.apply(kserve_runtime())
    try:
        with installation.operator_down():
            leave_behind(context)
            wait_for("KServe's Knative Service is Ready", lambda: ready(context.knative_service(NAME)), 240)
            prober = context.prober(NAME, f"/v1/models/{NAME}:predict", digits.one_digit(), rate=20)
            prober.__enter__()
        try:
            adopted = context.wait_ready(NAME)
            assert KSERVE_FINALIZER not in (adopted["metadata"].get("finalizers") or []), adopted["metadata"]
            owner = (context.knative_service(NAME) or {})["metadata"]["ownerReferences"]
            assert [each["uid"] for each in owner if each.get("controller")] == [adopted["metadata"]["uid"]], owner
            context.note("adopted", "finalizer taken off, controller reference kept")
            context.edit(NAME, {"canaryTrafficPercent": 20, "model": {"storageUri": store.uri("variants/2")}})
            context.wait_split(NAME, [(20, True), (80, False)])
            context.edit(NAME, {"canaryTrafficPercent": None})
            context.wait_split(NAME, [(100, True)])
        finally:
            prober.__exit__()
        context.note("requests", prober.summary())
        assert not prober.failures(), f"lost requests: {prober.failures()[:5]}"
        context.kubectl.delete("inferenceservice", NAME, context.namespace)
        wait_gone(context, NAME)
    finally:
        context.kubectl.delete("clusterservingruntime", RUNTIME)


def ready(service: Manifest | None) -> bool:
    """Say whether a Knative Service is Ready."""
    conditions = ((service or {}).get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def kserve_runtime() -> Manifest:
    """Return KServe's runtime by its name and form; its image is one that this cluster has."""
    container = {
        "name": "kserve-container",
        "image": "dev.local/haizen-runtime:e2e",
        "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models", "--http_port=8080"],
        "env": [{"name": "HAIZEN_ALLOW_CODE", "value": "true"}],
        # KServe's own server opens its port when the model is loaded; this one at once.
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}},
        "resources": SMALL,
    }
    formats = [{"name": "sklearn", "version": "1", "autoSelect": True, "priority": 1}]
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": RUNTIME},
        "spec": {"supportedModelFormats": formats, "protocolVersions": ["v1", "v2"], "containers": [container]},
    }


def leave_behind(context: Context) -> None:
    """Create both objects as KServe does: its finalizer, its labels, Update-style managedFields."""
    service = context.inference_service(NAME, context.store.uri("variants/1"), model={"runtime": RUNTIME})
    service["metadata"]["finalizers"] = [KSERVE_FINALIZER]
    create(context, service)
    uid = (context.get(NAME) or {})["metadata"]["uid"]
    owner = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": NAME,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = {"serving.kserve.io/inferenceservice": NAME, "component": "predictor"}
    container = {
        "name": "kserve-container",
        "image": "dev.local/haizen-runtime:e2e",
        "args": [f"--model_name={NAME}", "--model_dir=/mnt/models", "--http_port=8080"],
        "env": [
            {"name": "STORAGE_URI", "value": context.store.uri("variants/1")},
            {"name": "HAIZEN_ALLOW_CODE", "value": "true"},
            {"name": "AWS_ENDPOINT_URL", "value": f"http://{context.store.endpoint}"},
            {"name": "AWS_DEFAULT_REGION", "value": "us-east-1"},
            *[
                {"name": key, "valueFrom": {"secretKeyRef": {"name": "model-store", "key": key}}}
                for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            ],
        ],
        "ports": [{"containerPort": 8080, "name": "h2c"}],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8080}},
        "volumeMounts": [{"name": VOLUME, "mountPath": "/mnt/models"}],
        "resources": SMALL,
    }
    create(
        context,
        {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {
                "name": f"{NAME}-predictor",
                "namespace": context.namespace,
                "labels": labels,
                "ownerReferences": [owner],
            },
            "spec": {
                "template": {
                    "metadata": {"labels": labels, "annotations": {"autoscaling.knative.dev/min-scale": "1"}},
                    "spec": {"containers": [container], "volumes": [{"name": VOLUME, "emptyDir": {}}]},
                },
                "traffic": [{"latestRevision": True, "percent": 100}],
            },
        },
    )


def create(context: Context, manifest: Manifest) -> None:
    """Create an object under the field manager that KServe's controller has."""
    import yaml

    context.kubectl.run("create", "--field-manager=manager", "-f", "-", stdin=yaml.safe_dump(manifest))
