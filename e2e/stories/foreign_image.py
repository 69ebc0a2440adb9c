"""A ServingRuntime whose container is not ours: its files come through an init container, where Knative allows it."""

import httpx

from e2e import digits
from e2e.context import SMALL, Context
from e2e.kubectl import Manifest
from e2e.model_store import IMAGE
from e2e.stories import story

RUNTIME = "file-server"
FLAGS = ("kubernetes.podspec-init-containers", "kubernetes.podspec-persistent-volume-claim")


@story("foreign-image", "foreign image: s3 and pvc, with Knative's flags on and off", order=90)
def foreign_image(context: Context) -> None:
    """Runs with the Knative flags on; with them off, the condition names the flag."""
    variant = digits.train_variant(context.workspace, 1)
    context.store.upload({"variants/1/model.joblib": variant})
    context.kubectl.apply(runtime(context.namespace), *claim(context.namespace))
    model = {"runtime": RUNTIME}
    services = {
        "from-s3": context.inference_service("from-s3", context.store.uri("variants/1"), "files", model=model),
        "from-pvc": context.inference_service("from-pvc", "pvc://models/variants/1", "files", model=model),
    }
    fill_claim(context)
    for name, flag in zip(services, FLAGS, strict=True):
        try:
            set_flag(context, flag, "disabled")
            context.kubectl.apply(services[name])
            told = context.wait_condition(name, flag)
            context.note(f"{name}, flag off", f"{told['reason']}: {told['message']}")
        finally:
            set_flag(context, flag, "enabled")
        context.wait_ready(name)
        answer = httpx.get(f"{context.gateway}/model.joblib", headers={"Host": context.host(name)}, timeout=60)
        assert answer.status_code == 200, answer.text
        expected = variant.read_bytes() if name == "from-s3" else b"on the claim"
        assert answer.content == expected, f"{name}: another file"
        context.note(f"{name}, flag on", "Ready, the file is under /mnt/models")


def runtime(namespace: str) -> Manifest:
    """Return a runtime that serves whatever lies under /mnt/models."""
    container = {
        "name": "kserve-container",
        "image": IMAGE,
        "command": ["python3", "-m", "http.server", "8080", "--directory", "/mnt/models"],
        "ports": [{"containerPort": 8080}],
        "resources": SMALL,
    }
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": RUNTIME, "namespace": namespace},
        "spec": {
            "supportedModelFormats": [{"name": "files", "version": "1", "autoSelect": True}],
            "containers": [container],
        },
    }


def claim(namespace: str) -> list[Manifest]:
    """Return a volume on the node and the claim on it."""
    size = {"storage": "100Mi"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-models"},
        "spec": {
            "capacity": size,
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "by-hand",
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": namespace, "name": "models"},
            "hostPath": {"path": f"/tmp/{namespace}-models", "type": "DirectoryOrCreate"},
        },
    }
    wanted = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "by-hand",
            "volumeName": f"{namespace}-models",
            "resources": {"requests": size},
        },
    }
    return [volume, wanted]


def fill_claim(context: Context) -> None:
    """Write a file onto the claim, from a pod that mounts it."""
    script = (
        "mkdir -p /claim/variants/1 && printf 'on the claim' > /claim/variants/1/model.joblib && chmod -R a+rX /claim"
    )
    container = {
        "name": "fill",
        "image": IMAGE,
        "command": ["sh", "-c", script],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "fill", "namespace": context.namespace},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "models"}}],
        },
    }
    context.kubectl.apply(pod)
    context.kubectl.run(
        "wait",
        "pod/fill",
        "-n",
        context.namespace,
        "--for=jsonpath={.status.phase}=Succeeded",
        "--timeout=120s",
        timeout_seconds=150,
    )


def set_flag(context: Context, flag: str, value: str) -> None:
    """Set one of Knative's feature flags."""
    context.kubectl.patch("configmap", "config-features", "knative-serving", {"data": {flag: value}})
