"""Rules for ServingRuntime and ClusterServingRuntime.

KServe's rules (its webhook for serving runtimes, which lets a disabled runtime pass). Two of them need the other
runtimes of the cluster or an annotation and are left to the operator.
"""

from typing import Any

from haizen_operator.api.rules.examples import SERVER, runtime
from haizen_operator.api.rules.rule import Manifest, Rule, TransitionRule, env_names, has

_DISABLED = "(has(self.disabled) && self.disabled)"
_WORKER: Manifest = {"name": "worker-container", "image": "example.com/worker:1"}
_NO_PYTHON_PATH = "!has(c.env) || !c.env.exists(e, has(e.name) && e.name == 'PYTHONPATH')"
_AUTO = "has(f.autoSelect) && f.autoSelect"


def _same_priorities(spec: Any) -> bool:
    """KServe compares with the first entry of the same name; an entry without priority is let pass."""
    first: dict[str, int | None] = {}
    for entry in spec.get("supportedModelFormats") or []:
        if not entry.get("autoSelect"):
            continue
        priority = entry.get("priority")
        known = first.setdefault(entry["name"], priority)
        if known is not None and priority is not None and known != priority:
            return False
    return True


def _containers(spec: Any) -> list[Manifest]:
    return [*spec["containers"], *((spec.get("workerSpec") or {}).get("containers") or [])]


def _sizes_in_env(spec: Any) -> bool:
    forbidden = {"PIPELINE_PARALLEL_SIZE", "TENSOR_PARALLEL_SIZE"}
    servers = [c for c in spec["containers"] if c.get("name") == "kserve-container"]
    return any(forbidden & set(env_names(server)) for server in servers)


def _at_least_one(spec: Any, field: str) -> bool:
    return not has(spec, "workerSpec", field) or spec["workerSpec"][field] >= 1


def _size_rule(field: str) -> Rule:
    return Rule(
        id=f"runtime-{field}",
        type="ServingRuntimeSpec",
        field=f".workerSpec.{field}",
        cel=f"{_DISABLED} || !has(self.workerSpec) || !has(self.workerSpec.{field}) || self.workerSpec.{field} >= 1",
        holds=lambda spec: bool(spec.get("disabled")) or _at_least_one(spec, field),
        message=f"{field} must be 1 or more",
        accepted=runtime(workerSpec={"containers": [_WORKER], field: 1}),
        refused=runtime(workerSpec={"containers": [_WORKER], field: 0}),
    )


RULES = (
    Rule(
        id="runtime-one-priority",
        type="ServingRuntimeSpec",
        field=".supportedModelFormats",
        cel=f"{_DISABLED} || !has(self.supportedModelFormats) || self.supportedModelFormats.all(e, "
        "!has(e.autoSelect) || !e.autoSelect || !has(e.priority) || "
        f"self.supportedModelFormats.filter(f, {_AUTO} && f.name == e.name)"
        ".map(f, has(f.priority) ? f.priority : e.priority)[0] == e.priority)",
        holds=lambda spec: bool(spec.get("disabled")) or _same_priorities(spec),
        message="priority must be the same for every version of one model format",
        accepted=runtime(
            supportedModelFormats=[
                {"name": "sklearn", "version": "0", "autoSelect": True, "priority": 1},
                {"name": "sklearn", "version": "1", "autoSelect": True, "priority": 1},
            ]
        ),
        refused=runtime(
            supportedModelFormats=[
                {"name": "sklearn", "version": "0", "autoSelect": True, "priority": 1},
                {"name": "sklearn", "version": "1", "autoSelect": True, "priority": 2},
            ]
        ),
    ),
    Rule(
        id="runtime-no-python-path",
        type="ServingRuntimeSpec",
        cel=f"{_DISABLED} || (self.containers.all(c, {_NO_PYTHON_PATH}) && "
        f"(!has(self.workerSpec) || self.workerSpec.containers.all(c, {_NO_PYTHON_PATH})))",
        holds=lambda spec: (
            bool(spec.get("disabled")) or not any("PYTHONPATH" in env_names(c) for c in _containers(spec))
        ),
        message="the variable PYTHONPATH must be left out of env: it would load foreign code into the server",
        accepted=runtime(
            disabled=True, containers=[{**SERVER, "env": [{"name": "PYTHONPATH", "value": "/opt/modules"}]}]
        ),
        refused=runtime(containers=[{**SERVER, "env": [{"name": "PYTHONPATH", "value": "/opt/modules"}]}]),
    ),
    Rule(
        id="runtime-one-worker-container",
        type="ServingRuntimeSpec",
        field=".workerSpec.containers",
        cel=f"{_DISABLED} || !has(self.workerSpec) || self.workerSpec.containers.size() == 1",
        holds=lambda spec: (
            bool(spec.get("disabled"))
            or not has(spec, "workerSpec")
            or len(spec["workerSpec"].get("containers") or []) == 1
        ),
        message="containers of workerSpec must hold exactly one container",
        accepted=runtime(workerSpec={"containers": [_WORKER]}),
        refused=runtime(workerSpec={"containers": [_WORKER, {**_WORKER, "name": "other"}]}),
    ),
    Rule(
        id="runtime-sizes-not-in-env",
        type="ServingRuntimeSpec",
        field=".containers",
        cel=f"{_DISABLED} || !has(self.workerSpec) || self.containers.all(c, !has(c.name) || "
        "c.name != 'kserve-container' || !has(c.env) || !c.env.exists(e, has(e.name) && "
        "e.name in ['PIPELINE_PARALLEL_SIZE', 'TENSOR_PARALLEL_SIZE']))",
        holds=lambda spec: bool(spec.get("disabled")) or not has(spec, "workerSpec") or not _sizes_in_env(spec),
        message="PIPELINE_PARALLEL_SIZE and TENSOR_PARALLEL_SIZE must be set in workerSpec, not in env",
        accepted=runtime(
            containers=[{**SERVER, "env": [{"name": "TENSOR_PARALLEL_SIZE", "value": "2"}]}],
        ),
        refused=runtime(
            containers=[{**SERVER, "env": [{"name": "TENSOR_PARALLEL_SIZE", "value": "2"}]}],
            workerSpec={"containers": [_WORKER]},
        ),
    ),
    _size_rule("pipelineParallelSize"),
    _size_rule("tensorParallelSize"),
)

TRANSITIONS = (
    TransitionRule(
        id="runtime-keeps-workers",
        type="ServingRuntimeSpec",
        field=".workerSpec",
        cel=f"{_DISABLED} || !has(oldSelf.workerSpec) || has(self.workerSpec)",
        allows=lambda new, old: bool(new.get("disabled")) or not has(old, "workerSpec") or has(new, "workerSpec"),
        message="workerSpec must stay once it is set; make another runtime for one node",
        before=runtime(workerSpec={"containers": [_WORKER]}),
        accepted=runtime(workerSpec={"containers": [_WORKER]}, disabled=False),
        refused=runtime(),
    ),
)
