"""Rules for the predictor: one implementation, its storage, its environment, models on several nodes.

KServe's rules (``validatePredictor``, ``validateExactlyOneImplementation``, ``validateBlockedEnvVars``,
``validateConfidential``, ``validateMultiNodeVariables``, ``validateCollocationStorageURI``), unless said otherwise.
"""

import re
from typing import Any

from haizen_operator.api.model import LEGACY_FRAMEWORKS
from haizen_operator.api.rules.examples import SERVER, SKLEARN, model_service, service
from haizen_operator.api.rules.rule import Manifest, Rule, env_names, has

FRAMEWORKS = ("model", *LEGACY_FRAMEWORKS)
_ISVC = frozenset({"InferenceService"})
_CHOICE = f"model, {', '.join(LEGACY_FRAMEWORKS)}, or containers"
_KBS = r"^kbs:///[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+$"

_COUNT = "[" + ", ".join(f"has(self.{name}) ? 1 : 0" for name in FRAMEWORKS) + "].sum()"
_NONE_SET = " && ".join(f"!has(self.{name})" for name in FRAMEWORKS)
_NAMED_SERVERS = (
    "(has(self.containers) ? self.containers.filter(c, has(c.name) && c.name == 'kserve-container').size() : 0)"
)


def frameworks_of(predictor: Manifest) -> list[str]:
    """The fields of a predictor that hold a model."""
    return [name for name in FRAMEWORKS if has(predictor, name)]


def _implementations(predictor: Manifest) -> int:
    containers = predictor.get("containers") or []
    return len(frameworks_of(predictor)) + len([c for c in containers if c.get("name") == "kserve-container"])


def _first_protocol(predictor: Manifest) -> str | None:
    """The variable PROTOCOL of a custom predictor's first container; none where KServe does not look."""
    containers = predictor.get("containers") or []
    if frameworks_of(predictor) or not containers:
        return None
    entries = [entry for entry in containers[0].get("env") or [] if entry.get("name") == "PROTOCOL"]
    return str(entries[0].get("value", "")) if entries else None


def _transformer_names_storage(predictor: Manifest) -> bool:
    return any(
        container.get("name") == "transformer-container" and "STORAGE_URI" in env_names(container)
        for container in predictor.get("containers") or []
    )


def _no_python_path(container: Any) -> bool:
    return "PYTHONPATH" not in env_names(container)


def _spread(predictor: Manifest) -> bool:
    return has(predictor, "workerSpec") and has(predictor, "model")


def _worker_container(name: str, **fields: Any) -> Manifest:
    return {"name": name, "image": "example.com/worker:1", **fields}


_ON_VOLUME = {**SKLEARN, "storageUri": "pvc://claim/model"}
_PYTHON_PATH = [{"name": "PYTHONPATH", "value": "/tmp/modules"}]  # noqa: S108 - an example

RULES = (
    Rule(
        id="at-most-one-implementation",
        type="PredictorSpec",
        cel=f"{_COUNT} + {_NAMED_SERVERS} <= 1",
        holds=lambda p: _implementations(p) <= 1,
        message=f"exactly one of {_CHOICE} with one kserve-container must be set, not several",
        accepted=service(
            {"model": SKLEARN, "containers": [{"name": "transformer-container", "image": "example.com/transform:1"}]}
        ),
        refused=service({"sklearn": {"storageUri": "s3://m/a"}, "xgboost": {"storageUri": "s3://m/b"}}),
    ),
    Rule(
        id="at-least-one-implementation",
        type="PredictorSpec",
        cel=f"!({_NONE_SET}) || (has(self.containers) && self.containers.size() > 0)",
        holds=lambda p: bool(frameworks_of(p) or p.get("containers")),
        message=f"exactly one of {_CHOICE} must be set",
        accepted=service({"containers": [{"image": "example.com/server:1"}]}),
        refused=service({"minReplicas": 1}),
    ),
    Rule(
        id="protocol-variable",
        type="PredictorSpec",
        field=".containers",
        in_canary=False,
        cel=f"!({_NONE_SET}) || !has(self.containers) || self.containers.size() == 0 || !has(self.containers[0].env) "
        "|| !self.containers[0].env.exists(e, has(e.name) && e.name == 'PROTOCOL') "
        "|| self.containers[0].env.filter(e, has(e.name) && e.name == 'PROTOCOL')"
        ".map(e, has(e.value) ? e.value : '')[0] in ['v1', 'v2']",
        holds=lambda p: _first_protocol(p) in (None, "v1", "v2"),
        message="the variable PROTOCOL of a custom predictor must be v1 or v2",
        accepted=service({"containers": [{**SERVER, "env": [{"name": "PROTOCOL", "value": "v2"}]}]}),
        refused=service({"containers": [{**SERVER, "env": [{"name": "PROTOCOL", "value": "v3"}]}]}),
    ),
    Rule(
        id="framework-without-name",
        type="FrameworkSpec",
        field=".name",
        in_canary=False,
        cel="!has(self.name) || self.name == ''",
        holds=lambda f: not f.get("name"),
        message="name must be left out: the container of a model is called kserve-container",
        accepted=model_service(),
        refused=service({"model": {**SKLEARN, "name": "server"}}),
    ),
    Rule(
        id="storage-uri-or-uris",
        type="PredictorSpec",
        field=".storageUris",
        in_canary=False,
        cel="!has(self.storageUris) || !["
        + ", ".join(f"has(self.{name}) && has(self.{name}.storageUri)" for name in FRAMEWORKS)
        + "].exists(x, x)",
        holds=lambda p: not has(p, "storageUris") or not any(has(p, name, "storageUri") for name in FRAMEWORKS),
        message="storageUris must be left out where storageUri of the model is set",
        accepted=service({"sklearn": {}, "storageUris": [{"uri": "s3://m/a"}]}),
        refused=service({"sklearn": {"storageUri": "s3://m/b"}, "storageUris": [{"uri": "s3://m/a"}]}),
    ),
    Rule(
        id="transformer-without-storage",
        type="PredictorSpec",
        field=".containers",
        in_canary=False,
        cel="!has(self.containers) || !self.containers.exists(c, has(c.name) && c.name == 'transformer-container' "
        "&& has(c.env) && c.env.exists(e, has(e.name) && e.name == 'STORAGE_URI'))",
        holds=lambda p: not _transformer_names_storage(p),
        message="the variable STORAGE_URI must be left out of the container transformer-container",
        accepted=service({"model": SKLEARN, "containers": [_worker_container("transformer-container")]}),
        refused=service(
            {
                "model": SKLEARN,
                "containers": [
                    _worker_container("transformer-container", env=[{"name": "STORAGE_URI", "value": "s3://m/a"}])
                ],
            }
        ),
    ),
    Rule(
        id="no-python-path",
        type="Container",
        field=".env",
        kinds=_ISVC,
        in_canary=False,
        cel="!has(self.env) || !self.env.exists(e, has(e.name) && e.name == 'PYTHONPATH')",
        holds=_no_python_path,
        message="the variable PYTHONPATH must be left out of env: it would load foreign code into the server",
        accepted=service({"model": {**SKLEARN, "env": [{"name": "OMP_NUM_THREADS", "value": "1"}]}}),
        refused=service({"model": {**SKLEARN, "env": _PYTHON_PATH}}),
    ),
    Rule(
        id="confidential-storage",
        type="FrameworkSpec",
        field=".storageUri",
        in_canary=False,
        cel="!has(self.confidential) || !self.confidential.enabled || (has(self.storageUri) && self.storageUri != '')",
        holds=lambda f: not (f.get("confidential") or {}).get("enabled") or bool(f.get("storageUri")),
        message="storageUri must be set where confidential.enabled is true",
        accepted=service({"model": {**SKLEARN, "confidential": {"enabled": True}}}),
        refused=service({"sklearn": {"confidential": {"enabled": True}}}),
    ),
    Rule(
        id="confidential-resource",
        type="ConfidentialSpec",
        field=".resourceId",
        in_canary=False,
        cel=f"!self.enabled || !has(self.resourceId) || self.resourceId == '' || self.resourceId.matches(r'{_KBS}')",
        holds=lambda c: not c["enabled"] or not c.get("resourceId") or bool(re.search(_KBS, c["resourceId"])),
        message="resourceId must have the form kbs:///repository/type/tag",
        accepted=service({"model": {**SKLEARN, "confidential": {"enabled": True, "resourceId": "kbs:///a/b/c"}}}),
        refused=service({"model": {**SKLEARN, "confidential": {"enabled": True, "resourceId": "kbs://a/b"}}}),
    ),
    Rule(
        id="pipeline-parallel-size",
        type="WorkerSpec",
        field=".pipelineParallelSize",
        in_canary=False,
        cel="!has(self.pipelineParallelSize) || self.pipelineParallelSize >= 1",
        holds=lambda w: not has(w, "pipelineParallelSize") or w["pipelineParallelSize"] >= 1,
        message="pipelineParallelSize must be 1 or more",
        accepted=service({"model": _ON_VOLUME, "workerSpec": {"pipelineParallelSize": 1}}),
        refused=service({"model": _ON_VOLUME, "workerSpec": {"pipelineParallelSize": 0}}),
    ),
    Rule(
        id="tensor-parallel-size",
        type="WorkerSpec",
        field=".tensorParallelSize",
        in_canary=False,
        cel="!has(self.tensorParallelSize) || self.tensorParallelSize >= 1",
        holds=lambda w: not has(w, "tensorParallelSize") or w["tensorParallelSize"] >= 1,
        message="tensorParallelSize must be 1 or more",
        accepted=service({"model": _ON_VOLUME, "workerSpec": {"tensorParallelSize": 1}}),
        refused=service({"model": _ON_VOLUME, "workerSpec": {"tensorParallelSize": 0}}),
    ),
    Rule(
        id="one-worker-container",
        type="WorkerSpec",
        field=".containers",
        in_canary=False,
        cel="!has(self.containers) || self.containers.size() <= 1",
        holds=lambda w: len(w.get("containers") or []) <= 1,
        message="containers of workerSpec must hold at most one container",
        accepted=service({"model": _ON_VOLUME, "workerSpec": {"containers": [_worker_container("worker-container")]}}),
        refused=service(
            {"model": _ON_VOLUME, "workerSpec": {"containers": [_worker_container("a"), _worker_container("b")]}}
        ),
    ),
    Rule(
        id="workers-share-a-volume",
        type="PredictorSpec",
        field=".model.storageUri",
        in_canary=False,
        cel="!has(self.workerSpec) || !has(self.model) || (has(self.model.storageUri) && "
        "(self.model.storageUri.startsWith('pvc://') || self.model.storageUri.startsWith('oci://')))",
        holds=lambda p: not _spread(p) or str(p["model"].get("storageUri")).startswith(("pvc://", "oci://")),
        message="storageUri must start with pvc:// or oci:// where workerSpec is set",
        accepted=service({"model": _ON_VOLUME, "workerSpec": {}}),
        refused=service({"model": SKLEARN, "workerSpec": {}}),
    ),
    Rule(
        id="sizes-not-in-env",
        type="PredictorSpec",
        field=".model.env",
        in_canary=False,
        cel="!has(self.workerSpec) || !has(self.model) || !has(self.model.env) || !self.model.env.exists(e, "
        "has(e.name) && e.name in ['PIPELINE_PARALLEL_SIZE', 'TENSOR_PARALLEL_SIZE'])",
        holds=lambda p: (
            not _spread(p) or not {"PIPELINE_PARALLEL_SIZE", "TENSOR_PARALLEL_SIZE"} & set(env_names(p["model"]))
        ),
        message="PIPELINE_PARALLEL_SIZE and TENSOR_PARALLEL_SIZE must be set in workerSpec, not in env",
        accepted=service({"model": _ON_VOLUME, "workerSpec": {"pipelineParallelSize": 2, "tensorParallelSize": 2}}),
        refused=service(
            {"model": {**_ON_VOLUME, "env": [{"name": "TENSOR_PARALLEL_SIZE", "value": "2"}]}, "workerSpec": {}}
        ),
    ),
)
