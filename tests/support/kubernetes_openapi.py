"""Reads Kubernetes' own description of its types, to keep ``haizen_operator/api/kubernetes_types.json`` true.

``python -m tests.support.kubernetes_openapi`` writes that file from a real kube-apiserver.
"""

import json
from pathlib import Path
from typing import Any

from tests.support.control_plane import run_control_plane

TABLE = Path(__file__).parents[2] / "operator/haizen_operator/api/kubernetes_types.json"
OPENAPI_PATH = "/openapi/v3/api/v1"

_SCALARS = {"Quantity": "quantity", "IntOrString": "intOrString", "Time": "string", "FieldsV1": "object"}


def read_types(openapi: dict[str, Any], root: str = "io.k8s.api.core.v1.PodSpec") -> dict[str, dict[str, str]]:
    """Every object type that a PodSpec is made of: type -> field -> type of the field, written as in ``types.py``."""
    schemas = openapi["components"]["schemas"]
    found: dict[str, dict[str, str]] = {}
    pending = [root]
    while pending:
        full_name = pending.pop()
        name = full_name.rpartition(".")[2]
        if name in found or name in _SCALARS:
            continue
        properties = schemas[full_name].get("properties", {})
        found[name] = {field: _notation(schema, pending) for field, schema in sorted(properties.items())}
    return dict(sorted(found.items()))


def _notation(schema: dict[str, Any], pending: list[str]) -> str:
    reference = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
    if reference:
        full_name = reference.rpartition("/")[2]
        pending.append(full_name)
        name = full_name.rpartition(".")[2]
        return _SCALARS.get(name, name)
    if schema["type"] == "array":
        return "[]" + _notation(schema["items"], pending)
    if schema["type"] == "object":
        return "{}" + _notation(schema["additionalProperties"], pending)
    return str(schema["type"])


def main() -> None:
    """Write the table."""
    with run_control_plane() as control_plane, control_plane.client() as client:
        types = read_types(client.get(OPENAPI_PATH).json())
    TABLE.write_text(json.dumps(types, indent=1) + "\n")
    print(f"{TABLE}: {len(types)} types")


if __name__ == "__main__":
    main()
