"""How an InferenceService's container and pod adjust those of its ServingRuntime.

KServe's rule: Kubernetes' strategic merge patch, runtime patched by InferenceService, with two exceptions. Arguments
are joined (the runtime's first), and of an environment variable that would end up with both ``value`` and
``valueFrom`` the InferenceService's stays. Where strategic merge would leave something that Kubernetes refuses (a
probe with two handlers, a volume with two sources), the InferenceService's choice replaces the runtime's.
"""

from collections.abc import Iterable, Mapping
from typing import Any

#: Lists that strategic merge joins by a key instead of replacing: the field's name and the key.
_CONTAINER_KEYS = {"env": "name", "ports": "containerPort", "volumeMounts": "mountPath", "volumeDevices": "devicePath"}
_POD_KEYS = {
    "volumes": "name",
    "imagePullSecrets": "name",
    "resourceClaims": "name",
    "containers": "name",
    "initContainers": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_HANDLERS = ("httpGet", "tcpSocket", "exec", "grpc")
#: What KServe takes from a runtime's pod; ``hostIPC`` it forgets, we do not.
RUNTIME_POD_FIELDS = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "volumes",
    "imagePullSecrets",
    "schedulerName",
    "resourceClaims",
    "hostIPC",
)


def merge_container(runtime: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """The runtime's container as the InferenceService adjusts it; neither input is changed."""
    overlay = without_empty(service)
    overlay.pop("args", None)
    base = dict(runtime)
    for probe in _PROBES:
        if isinstance(base.get(probe), Mapping) and isinstance(overlay.get(probe), Mapping):
            base[probe] = _without_replaced_handler(base[probe], overlay[probe])
    merged = _merge_maps(base, overlay, _CONTAINER_KEYS)
    if "env" in merged:
        merged["env"] = _settle_value_conflicts(merged["env"], overlay.get("env", []))
    args = [*(runtime.get("args") or []), *(service.get("args") or [])]
    if args:
        merged["args"] = args
    else:
        merged.pop("args", None)
    return merged


def merge_pod_spec(runtime: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, Any]:
    """The pod without containers: the InferenceService's, on top of what KServe takes from a runtime."""
    base = {field: runtime[field] for field in RUNTIME_POD_FIELDS if runtime.get(field) not in (None, [], {}, "")}
    overlay = without_empty(service)
    if "volumes" in base and "volumes" in overlay:
        replaced = {volume.get("name"): volume for volume in overlay["volumes"]}
        base["volumes"] = [
            volume if _same_source(volume, replaced.get(volume.get("name"))) else {"name": volume.get("name")}
            for volume in base["volumes"]
        ]
    return _merge_maps(base, overlay, _POD_KEYS)


def merge_env(first: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Environment variables of both, in order; the second's win over the first's of the same name."""
    merged = {variable["name"]: dict(variable) for variable in first}
    for variable in second:
        merged[variable["name"]] = dict(variable)
    return list(merged.values())


def without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without what Go's ``omitempty`` would leave out: null, empty strings, lists and maps at the top."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {})}


def _merge_maps(base: Mapping[str, Any], overlay: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    merged = dict(base)
    for field, value in overlay.items():
        current = merged.get(field)
        if isinstance(current, Mapping) and isinstance(value, Mapping):
            merged[field] = _merge_maps(current, value, {})
        elif isinstance(current, list) and isinstance(value, list) and field in keys:
            merged[field] = _merge_lists(current, value, keys[field])
        else:
            merged[field] = value
    return merged


def _merge_lists(base: list[Any], overlay: list[Any], key: str) -> list[Any]:
    """Strategic merge of a list by key, in its order: new items come before those that only the base has.

    Items of the overlay keep their order; an item that only the base has goes before the first later item of the
    overlay that stands behind it in the base.
    """
    if not all(isinstance(item, Mapping) and key in item for item in [*base, *overlay]):
        return list(overlay)
    place = {item[key]: number for number, item in enumerate(base)}
    patched = [
        _merge_maps(base[place[item[key]]], item, {}) if item[key] in place else dict(item)
        for item in {item[key]: item for item in overlay}.values()
    ]
    names = {item[key] for item in patched}
    waiting = [item for item in base if item[key] not in names]
    merged: list[Any] = []
    for item in patched:
        while waiting and item[key] in place and place[waiting[0][key]] < place[item[key]]:
            merged.append(waiting.pop(0))
        merged.append(item)
    return [*merged, *waiting]


def _settle_value_conflicts(merged: list[Any], overlay: list[Any]) -> list[Any]:
    wanted = {variable.get("name"): variable for variable in overlay}
    settled = []
    for variable in merged:
        winner = wanted.get(variable.get("name"), {})
        if variable.get("value") and variable.get("valueFrom") and (winner.get("value") or winner.get("valueFrom")):
            loser = "value" if winner.get("valueFrom") else "valueFrom"
            variable = {key: value for key, value in variable.items() if key != loser}
        settled.append(variable)
    return settled


def _without_replaced_handler(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    if not any(handler in overlay for handler in _PROBE_HANDLERS):
        return dict(base)
    return {key: value for key, value in base.items() if key not in _PROBE_HANDLERS or key in overlay}


def _same_source(volume: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    return other is None or set(volume) - {"name"} <= set(other) or set(other) <= {"name"}
