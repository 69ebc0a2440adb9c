"""kubectl delete: everything is gone, whoever is up or down at the time."""

from e2e import digits
from e2e.context import Context
from e2e.installation import Installation
from e2e.kubectl import wait_for
from e2e.stories import story

KSERVE_FINALIZER = "inferenceservice.finalizers"


@story("delete", "delete: also with the operator down, also with KServe's finalizer", main=True, order=50)
def delete(context: Context) -> None:
    """InferenceService, Knative Service and route gone at once, pods when their drain ends."""
    context.store.upload({"variants/1/model.joblib": digits.train_variant(context.workspace, 1)})
    installation = Installation(context.kubectl)

    context.kubectl.apply(context.inference_service("gone", context.store.uri("variants/1")))
    context.wait_ready("gone")
    context.kubectl.delete("inferenceservice", "gone", context.namespace)
    wait_gone(context, "gone")
    context.note("with the operator up", "gone, pods included")

    context.kubectl.apply(context.inference_service("gone-meanwhile", context.store.uri("variants/1")))
    context.wait_ready("gone-meanwhile")
    with installation.operator_down():
        context.kubectl.delete("inferenceservice", "gone-meanwhile", context.namespace)
        wait_gone(context, "gone-meanwhile")
    context.note("with the operator down", "gone, pods included")

    service = context.inference_service("gone-from-kserve", context.store.uri("variants/1"))
    service["metadata"]["finalizers"] = [KSERVE_FINALIZER]
    context.kubectl.apply(service)
    context.wait_ready("gone-from-kserve")
    context.kubectl.delete("inferenceservice", "gone-from-kserve", context.namespace)
    wait_gone(context, "gone-from-kserve")

    with installation.operator_down():
        service["metadata"]["name"] = "gone-from-kserve-meanwhile"
        context.kubectl.apply(service)
        context.kubectl.delete("inferenceservice", "gone-from-kserve-meanwhile", context.namespace)
    wait_gone(context, "gone-from-kserve-meanwhile")
    context.note("with KServe's finalizer", "gone, with the operator up and down")


def wait_gone(context: Context, name: str) -> None:
    """Wait until a service has left nothing behind."""
    routes = "routes.serving.knative.dev"
    wait_for(f"{name} is gone", lambda: context.get(name) is None)
    wait_for(f"{name}'s Knative Service is gone", lambda: context.knative_service(name) is None)
    wait_for(
        f"{name}'s route is gone", lambda: context.kubectl.get(routes, f"{name}-predictor", context.namespace) is None
    )
    context.wait_no_pods(name)
