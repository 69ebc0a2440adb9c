"""Rules for the InferenceService as a whole: its name, its canaries, a renamed predictor.

KServe's rules (``validateInferenceServiceName``, ``validateCanarySpecs``, ``validatePredictorNameChange``).
"""

import re
from typing import Any

from haizen_operator.api.rules.examples import SERVER, SKLEARN, canary, canary_service, model_service, service
from haizen_operator.api.rules.predictor import FRAMEWORKS, frameworks_of
from haizen_operator.api.rules.rule import Manifest, Rule, TransitionRule, env_names, has

_NAME = "^[a-z]([-a-z0-9]*[a-z0-9])?$"

#: What a canary must leave out: it runs a fixed number of pods on one node.
_FIXED_REPLICAS = ("workerSpec", "scaleTarget", "scaleMetric", "autoScaling")
_FORBIDDEN_EXAMPLES: Manifest = {
    "workerSpec": {},
    "scaleTarget": 1,
    "scaleMetric": "rps",
    "autoScaling": {"metrics": []},
}


def _canary_names(spec: Manifest) -> list[str]:
    return [str(entry["predictor"].get("name") or "") for entry in spec.get("canary") or []]


def _has_stable_model(spec: Manifest) -> bool:
    containers = spec["predictor"].get("containers") or []
    return bool(frameworks_of(spec["predictor"])) or any("STORAGE_URI" in env_names(c) for c in containers)


def _storage_of(predictor: Manifest) -> str:
    return next((str(predictor[name].get("storageUri") or "") for name in frameworks_of(predictor)), "")


def _storage_cel(spec: str) -> str:
    """CEL for the storageUri of whichever framework field is set."""
    expression = "''"
    for name in reversed(FRAMEWORKS):
        field = f"{spec}.predictor.{name}"
        expression = f"has({field}) ? (has({field}.storageUri) ? {field}.storageUri : '') : ({expression})"
    return f"({expression})"


def _may_rename(new: Any, old: Any) -> bool:
    same_name = (new["predictor"].get("name") or "") == (old["predictor"].get("name") or "")
    custom = not frameworks_of(new["predictor"])
    return same_name or custom or _storage_of(new["predictor"]) != _storage_of(old["predictor"])


_NO_FRAMEWORK = " && ".join(f"!has(self.predictor.{name})" for name in FRAMEWORKS)
_PREDICTOR_NAME = "(has(c.predictor.name) ? c.predictor.name : '')"

RULES = (
    Rule(
        id="name",
        type="InferenceService",
        field=".metadata",
        cel=f"self.metadata.name.matches('{_NAME}')",
        holds=lambda isvc: bool(re.search(_NAME, str(isvc["metadata"].get("name") or ""))),
        message="name must consist of lower case letters, digits and '-', start with a letter and not end with '-', "
        "such as my-model-1",
        accepted=service({"model": SKLEARN}, name="my-model-1"),
        refused=service({"model": SKLEARN}, name="1st.model"),
    ),
    Rule(
        id="canary-beside-a-model",
        type="InferenceServiceSpec",
        field=".canary",
        cel=f"!has(self.canary) || self.canary.size() == 0 || !({_NO_FRAMEWORK}) || (has(self.predictor.containers) "
        "&& self.predictor.containers.exists(c, has(c.env) "
        "&& c.env.exists(e, has(e.name) && e.name == 'STORAGE_URI')))",
        holds=lambda spec: not spec.get("canary") or _has_stable_model(spec),
        message="canary must be left out where the predictor is a custom container without a model",
        accepted=canary_service(canary("next", 10)),
        refused=service({"containers": [SERVER]}, canary=[canary("next", 10)]),
    ),
    Rule(
        id="canary-name",
        type="CanarySpec",
        field=".predictor.name",
        cel="has(self.predictor.name) && self.predictor.name != ''",
        holds=lambda entry: bool(entry["predictor"].get("name")),
        message="predictor.name of a canary must be set",
        accepted=canary_service(canary("next", 10)),
        refused=canary_service(canary(None, 10)),
    ),
    Rule(
        id="canary-names-differ",
        type="InferenceServiceSpec",
        field=".canary",
        cel=f"!has(self.canary) || self.canary.map(c, {_PREDICTOR_NAME}).all(n, "
        f"self.canary.filter(c, {_PREDICTOR_NAME} == n).size() == 1)",
        holds=lambda spec: len(set(_canary_names(spec))) == len(_canary_names(spec)),
        message="predictor.name of each canary must differ from the others",
        accepted=canary_service(canary("a", 10), canary("b", 10)),
        refused=canary_service(canary("a", 10), canary("a", 10)),
    ),
    Rule(
        id="canary-name-is-not-stable",
        type="InferenceServiceSpec",
        field=".canary",
        cel="!has(self.canary) || !has(self.predictor.name) || self.predictor.name == '' "
        f"|| self.canary.all(c, {_PREDICTOR_NAME} != self.predictor.name)",
        holds=lambda spec: not spec["predictor"].get("name") or spec["predictor"]["name"] not in _canary_names(spec),
        message="predictor.name of a canary must differ from that of the stable predictor",
        accepted=canary_service(canary("next", 10)),
        refused=canary_service(canary("stable", 10)),
    ),
    Rule(
        id="canary-percents-together",
        type="InferenceServiceSpec",
        field=".canary",
        cel="!has(self.canary) || self.canary.map(c, c.trafficPercent).sum() <= 100",
        holds=lambda spec: sum(entry["trafficPercent"] for entry in spec.get("canary") or []) <= 100,
        message="trafficPercent of all canaries together must be at most 100",
        accepted=canary_service(canary("a", 60), canary("b", 40)),
        refused=canary_service(canary("a", 60), canary("b", 41)),
    ),
    *(
        Rule(
            id=f"canary-without-{name}",
            type="CanarySpec",
            field=f".predictor.{name}",
            cel=f"!has(self.predictor.{name})",
            holds=lambda entry, name=name: not has(entry, "predictor", name),  # type: ignore[misc]
            message=f"{name} must be left out of a canary, which runs a fixed number of pods",
            accepted=canary_service(canary("next", 10, minReplicas=1)),
            refused=canary_service(canary("next", 10, **{name: _FORBIDDEN_EXAMPLES[name]})),
        )
        for name in _FIXED_REPLICAS
    ),
    Rule(
        id="canary-without-maxReplicas",
        type="CanarySpec",
        field=".predictor.maxReplicas",
        cel="!has(self.predictor.maxReplicas) || self.predictor.maxReplicas <= 0",
        holds=lambda entry: (entry["predictor"].get("maxReplicas") or 0) <= 0,
        message="maxReplicas must be left out of a canary, which runs a fixed number of pods",
        accepted=canary_service(canary("next", 10, maxReplicas=0)),
        refused=canary_service(canary("next", 10, maxReplicas=2)),
    ),
    Rule(
        id="canary-replicas",
        type="InferenceServiceSpec",
        field=".canary",
        cel="!has(self.canary) || self.canary.all(c, !has(c.predictor.minReplicas) || "
        "c.predictor.minReplicas <= (has(self.predictor.minReplicas) ? self.predictor.minReplicas : 1))",
        holds=lambda spec: all(
            entry["predictor"].get("minReplicas", 0) <= spec["predictor"].get("minReplicas", 1)
            for entry in spec.get("canary") or []
        ),
        message="minReplicas of a canary must be at most that of the stable predictor, which is 1 if left out",
        accepted=canary_service(canary("next", 10, minReplicas=2), minReplicas=2),
        refused=canary_service(canary("next", 10, minReplicas=2)),
    ),
)

TRANSITIONS = (
    TransitionRule(
        id="rename-with-a-model",
        type="InferenceServiceSpec",
        field=".predictor.name",
        cel="(has(self.predictor.name) ? self.predictor.name : '') "
        "== (has(oldSelf.predictor.name) ? oldSelf.predictor.name : '') "
        f"|| ({_NO_FRAMEWORK}) || {_storage_cel('self')} != {_storage_cel('oldSelf')}",
        allows=_may_rename,
        message="predictor.name may change only together with the model's storageUri",
        before=model_service(name="first"),
        accepted=service({"name": "second", "model": {**SKLEARN, "storageUri": "s3://models/digits-2"}}),
        refused=model_service(name="second"),
    ),
)
