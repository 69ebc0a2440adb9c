"""The CustomResourceDefinitions, made from the models and the rule table."""

from dataclasses import dataclass
from typing import Any

from haizen_operator.api.base import KubernetesModel
from haizen_operator.api.inference_service import API_GROUP, InferenceService
from haizen_operator.api.kubernetes_types import TYPE_MARKER
from haizen_operator.api.rules import RULES, TRANSITIONS, Rule, TransitionRule
from haizen_operator.api.schema import MODEL_MARKER, model_schema
from haizen_operator.api.serving_runtime import ClusterServingRuntime, ServingRuntime
from haizen_operator.api.status import InferenceServiceStatus

Schema = dict[str, Any]


@dataclass(frozen=True)
class PrinterColumn:
    """A column of ``kubectl get``."""

    name: str
    type: str
    json_path: str

    def to_manifest(self) -> dict[str, str]:
        """The column as it stands in a CRD."""
        return {"name": self.name, "type": self.type, "jsonPath": self.json_path}


@dataclass(frozen=True)
class Kind:
    """One kind of our API group."""

    model: type[KubernetesModel]
    plural: str
    version: str
    scope: str
    columns: tuple[PrinterColumn, ...]
    short_names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The kind's name, such as InferenceService."""
        return self.model.__name__

    @property
    def api_version(self) -> str:
        """Group and version, such as serving.kserve.io/v1beta1."""
        return f"{API_GROUP}/{self.version}"


_TRAFFIC = ".status.components.predictor.traffic"
_AGE = PrinterColumn("Age", "date", ".metadata.creationTimestamp")
_RUNTIME_COLUMNS = (
    PrinterColumn("Disabled", "boolean", ".spec.disabled"),
    PrinterColumn("ModelType", "string", ".spec.supportedModelFormats[*].name"),
    PrinterColumn("Containers", "string", ".spec.containers[*].name"),
    _AGE,
)

#: The kinds we define; names, columns and scopes are KServe's.
KINDS = (
    Kind(
        InferenceService,
        "inferenceservices",
        "v1beta1",
        "Namespaced",
        (
            PrinterColumn("URL", "string", ".status.url"),
            PrinterColumn("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
            PrinterColumn("Prev", "integer", f"{_TRAFFIC}[?(@.tag=='prev')].percent"),
            PrinterColumn("Latest", "integer", f"{_TRAFFIC}[?(@.latestRevision==true)].percent"),
            PrinterColumn("PrevRolledoutRevision", "string", f"{_TRAFFIC}[?(@.tag=='prev')].revisionName"),
            PrinterColumn("LatestReadyRevision", "string", f"{_TRAFFIC}[?(@.latestRevision==true)].revisionName"),
            _AGE,
        ),
        short_names=("isvc",),
    ),
    Kind(ServingRuntime, "servingruntimes", "v1alpha1", "Namespaced", _RUNTIME_COLUMNS),
    Kind(ClusterServingRuntime, "clusterservingruntimes", "v1alpha1", "Cluster", _RUNTIME_COLUMNS),
)

# A canary has neither of these (rules say so), so their fields need not be listed again.
_OPAQUE_IN_CANARY = frozenset({"WorkerSpec", "AutoScalingSpec"})


def kind_schema(kind: Kind) -> Schema:
    """The schema of a kind, with the markers that the offline validator goes by."""
    schema = model_schema(kind.model)
    properties = schema["properties"]
    properties["metadata"] = {"type": "object"}  # the API server checks metadata itself
    if kind.model is InferenceService:
        properties["status"] = _open_ended(model_schema(InferenceServiceStatus))
    else:
        properties["status"] = _open_ended({"type": "object", "description": properties["status"]["description"]})
    return schema


def _open_ended(schema: Schema) -> Schema:
    """A schema that keeps fields it does not list, at every depth: KServe's status may hold more than we document."""
    result = dict(schema)
    if "properties" in schema:
        result["properties"] = {name: _open_ended(item) for name, item in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            result[key] = _open_ended(schema[key])
    if schema["type"] == "object" and "additionalProperties" not in schema:
        result["x-kubernetes-preserve-unknown-fields"] = True
    return result


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    names = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
    }
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.to_manifest() for column in kind.columns],
        "schema": {"openAPIV3Schema": _published(kind_schema(kind), kind.name)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{API_GROUP}"},
        "spec": {
            "group": API_GROUP,
            "names": {**names, "shortNames": list(kind.short_names)} if kind.short_names else names,
            "scope": kind.scope,
            "versions": [version],
        },
    }


def types_of(schema: Schema) -> tuple[str, ...]:
    """The types a schema stands for, by which rules are attached."""
    if MODEL_MARKER in schema:
        return tuple(schema[MODEL_MARKER])
    return (schema[TYPE_MARKER],) if TYPE_MARKER in schema else ()


def _published(schema: Schema, kind: str, *, in_canary: bool = False) -> Schema:
    """A schema with its CEL rules and without our markers."""
    types = types_of(schema)
    schema = _abridged(schema, types) if in_canary else schema
    below_canary = in_canary or "CanarySpec" in types
    result: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {name: _published(item, kind, in_canary=below_canary) for name, item in value.items()}
        elif key in ("items", "additionalProperties"):
            result[key] = _published(value, kind, in_canary=below_canary)
        elif key not in (MODEL_MARKER, TYPE_MARKER):
            result[key] = value
    rules: list[Rule | TransitionRule] = [r for r in RULES if r.applies_to(kind, types, in_canary=in_canary)]
    rules += [rule for rule in TRANSITIONS if rule.type in types]
    if rules:
        result["x-kubernetes-validations"] = [_validation(rule) for rule in rules]
    return result


def _abridged(schema: Schema, types: tuple[str, ...]) -> Schema:
    """A schema inside ``spec.canary``, where most of ``spec.predictor`` stands again: a CRD must stay small."""
    dropped = {"description"}
    opaque = _OPAQUE_IN_CANARY.intersection(types) or (TYPE_MARKER in schema and "Container" not in types)
    if opaque and schema.get("type") == "object":
        schema = {**schema, "x-kubernetes-preserve-unknown-fields": True}
        dropped = {"description", "properties", "required"}
    return {key: value for key, value in schema.items() if key not in dropped}


def _validation(rule: Rule | TransitionRule) -> dict[str, str]:
    validation = {"rule": rule.cel, "message": rule.message}
    return {**validation, "fieldPath": rule.field} if rule.field else validation
