"""A model that asks for a GPU on a node that has none, and then has one."""

import json

from e2e import digits
from e2e.context import SMALL, Context
from e2e.stories import story

NAME = "gpu"
RESOURCE = "nvidia.com/gpu"


@story("gpu", "GPU: unschedulable says which resource, then runs", order=70)
def gpu(context: Context) -> None:
    """The condition says it cannot be scheduled and which resource lacks; once the node has one, it runs."""
    context.store.upload({"variants/1/model.joblib": digits.train_variant(context.workspace, 1)})
    resources = {"requests": SMALL["requests"], "limits": {**SMALL["limits"], RESOURCE: "1"}}
    service = context.inference_service(NAME, context.store.uri("variants/1"), model={"resources": resources})
    context.kubectl.apply(service)
    told = context.wait_condition(NAME, RESOURCE)
    assert "Unschedulable" in told["reason"], told
    context.note("without a GPU", f"{told['reason']}: {told['message']}")
    node = context.kubectl.list("nodes")[0]["metadata"]["name"]
    try:
        give(context, node, "1")
        context.wait_ready(NAME)
        answer = context.post(NAME, f"/v1/models/{NAME}:predict", digits.v1_body(digits.samples(1)))
        assert answer.status_code == 200, answer.text
        context.note("with one", "Ready, answers")
    finally:
        context.kubectl.delete("inferenceservice", NAME, context.namespace)
        context.wait_no_pods(NAME)
        take(context, node)


def give(context: Context, node: str, count: str) -> None:
    """Let the node advertise GPUs."""
    patch = json.dumps([{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": count}])
    context.kubectl.run("patch", "node", node, "--subresource=status", "--type=json", "-p", patch)


def take(context: Context, node: str) -> None:
    """Let the node advertise none again."""
    patch = '[{"op": "remove", "path": "/status/capacity/nvidia.com~1gpu"}]'
    context.kubectl.run("patch", "node", node, "--subresource=status", "--type=json", "-p", patch)
