"""From pydantic models to structural OpenAPI schemas, as a CustomResourceDefinition needs them.

The passes: pydantic's JSON schema; references resolved; ``X | None`` folded into ``X``; fields that KServe carries
inline from core/v1 added; rules attached. Nothing gets a ``default:``: defaults are computed, never stored.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from haizen_operator.api.base import KubernetesModel
from haizen_operator.api.kubernetes_types import TYPE_MARKER, fields_of, schema_of

#: Marks a schema with the names of its model, the model's bases and the core/v1 type it carries inline; rules are
#: attached by them. Left out of the CRD.
MODEL_MARKER = "x-haizen-model"

_KEPT = (
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "required",
    "description",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    TYPE_MARKER,
)


def model_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of a model, with markers for the rules and for the offline check."""
    document = model.model_json_schema(by_alias=True, mode="validation")
    return _Converter(document.get("$defs", {}), _models_by_name(model)).convert({**document, "title": model.__name__})


def _models_by_name(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The model and every model in it, by class name."""
    found: dict[str, type[BaseModel]] = {}
    pending: list[Any] = [model]
    while pending:
        item = pending.pop()
        if isinstance(item, type) and issubclass(item, BaseModel):
            if item.__name__ in found:
                continue
            found[item.__name__] = item
            pending.extend(field.annotation for field in item.model_fields.values())
        else:
            pending.extend(getattr(item, "__args__", ()))
    return found


def _type_names(model: type[BaseModel]) -> list[str]:
    names = [
        base.__name__ for base in model.__mro__ if issubclass(base, KubernetesModel) and base is not KubernetesModel
    ]
    inlined = getattr(model, "inlined_type", None)
    return [*names, inlined] if inlined else names


class _Converter:
    def __init__(self, definitions: Mapping[str, Any], models: Mapping[str, type[BaseModel]]) -> None:
        self._definitions = definitions
        self._models = models

    def convert(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        schema = self._resolve(schema)
        if TYPE_MARKER in schema:
            described = {"description": schema["description"]} if "description" in schema else {}
            return {**schema_of(schema[TYPE_MARKER]), **described}
        result = {key: schema[key] for key in _KEPT if key in schema}
        if "const" in schema:
            result["enum"] = [schema["const"]]
        if "items" in schema:
            result["items"] = self.convert(schema["items"])
        if "properties" in schema:
            self._add_properties(result, schema)
        elif isinstance(schema.get("additionalProperties"), Mapping):
            result["additionalProperties"] = self.convert(schema["additionalProperties"])
        elif schema.get("type") == "object":
            result["x-kubernetes-preserve-unknown-fields"] = True
        return result

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow ``$ref`` and fold ``anyOf: [X, null]``; what the field says wins over what its type says."""
        if "$ref" in schema:
            target = self._definitions[schema["$ref"].rpartition("/")[2]]
            own = {key: value for key, value in schema.items() if key != "$ref"}
            return self._resolve({**target, **own})
        options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
        if len(options) == 1:
            own = {key: value for key, value in schema.items() if key not in ("anyOf", "title")}
            return self._resolve({**self._resolve(options[0]), **own})
        return schema

    def _add_properties(self, result: dict[str, Any], schema: Mapping[str, Any]) -> None:
        model = self._models[schema["title"]]
        result[MODEL_MARKER] = _type_names(model)
        properties = {name: self.convert(item) for name, item in schema["properties"].items()}
        for field in model.model_fields.values():
            if field.alias and field.description:
                properties[field.alias]["description"] = field.description
        inlined = getattr(model, "inlined_type", None)
        for name, notation in fields_of(inlined).items() if inlined else ():
            properties.setdefault(name, schema_of(notation))
        result["properties"] = properties
