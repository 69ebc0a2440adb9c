"""What KServe adds for servers it knows by type: MLServer, TorchServe, Triton."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from haizen_operator.names import LABEL_MODEL_CLASS, LABEL_SERVICE_ENVELOPE, MODEL_DIR

_MODEL_CLASSES = {
    "xgboost": "mlserver_xgboost.XGBoostModel",
    "lightgbm": "mlserver_lightgbm.LightGBMModel",
    "mlflow": "mlserver_mlflow.MLflowRuntime",
}
_DEFAULT_MODEL_CLASS = "mlserver_sklearn.SKLearnModel"


@dataclass(frozen=True, slots=True)
class ServerDefaults:
    """Additions to the model's container and to the labels that templates and pods see."""

    env: tuple[Mapping[str, Any], ...] = ()
    args: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def server_defaults(
    server: str, *, isvc_name: str, model_format: str, protocol_version: str, has_storage: bool
) -> ServerDefaults:
    """KServe's additions for a type of server (see ``server_types.server_type``); nothing for one it does not know."""
    if server == "mlserver":
        env = {"MLSERVER_MODEL_NAME": isvc_name, "MLSERVER_MODEL_URI": MODEL_DIR}
        if not has_storage:
            env = {"MLSERVER_LOAD_MODELS_AT_STARTUP": "false"}
        labels = {LABEL_MODEL_CLASS: _MODEL_CLASSES.get(model_format, _DEFAULT_MODEL_CLASS)}
        return ServerDefaults(tuple({"name": name, "value": value} for name, value in env.items()), (), labels)
    if server == "torchserve":
        envelope = "kservev2" if protocol_version in ("v2", "grpc-v2") else "kserve"
        return ServerDefaults(
            ({"name": "PROTOCOL_VERSION", "value": protocol_version},), (), {LABEL_SERVICE_ENVELOPE: envelope}
        )
    if server == "tritonserver" and not has_storage:
        return ServerDefaults(args=("--model-control-mode=explicit",))
    return ServerDefaults()


def add_missing_env(container: Mapping[str, Any], additions: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    """The container with the variables it does not have yet."""
    env = list(container.get("env") or [])
    known = {variable.get("name") for variable in env}
    env += [dict(variable) for variable in additions if variable["name"] not in known]
    return {**container, "env": env} if env else dict(container)
