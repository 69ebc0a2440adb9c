"""What kind of model server a runtime holds: KServe treats a few of them in their own way."""

from collections.abc import Mapping

from haizen_operator.names import ANNOTATION_SERVER_TYPE

# Runtimes older than the server-type annotation are known by KServe's names.
_SERVER_TYPE_BY_RUNTIME = {
    "kserve-mlserver": "mlserver",
    "kserve-tritonserver": "tritonserver",
    "kserve-torchserve": "torchserve",
    "kserve-tensorflow-serving": "tensorflow-serving",
    "kserve-huggingfaceserver": "huggingfaceserver",
    "kserve-vllmserver": "vllmserver",
}
# Servers that KServe knows to speak one protocol unless told otherwise.
_PROTOCOLS = {"mlserver": "v2", "tritonserver": "v2", "torchserve": "v1"}


def server_type(runtime_name: str, runtime_annotations: Mapping[str, str]) -> str:
    """A runtime's annotation ``serving.kserve.io/server-type``, else what KServe's name for it says, else nothing."""
    return runtime_annotations.get(ANNOTATION_SERVER_TYPE) or _SERVER_TYPE_BY_RUNTIME.get(runtime_name, "")


def usual_protocol(server: str) -> str | None:
    """The protocol a type of server speaks unless the model says otherwise; none when the runtime's list decides."""
    return _PROTOCOLS.get(server)
