"""Has somebody changed what we applied? The subset check of a live object against the one we want.

What the API server or Knative's webhook add to an object is no drift: fields we do not name, default values, and
entries in lists which the API merges by key. An entry more in any other list is drift. Whether such an addition is
somebody's edit cannot be seen from the values; `foreign_edits` reads that from the managedFields.
"""

from collections.abc import Mapping
from typing import Any

from haizen_operator.resources.quantity import same_quantity

#: Lists of a Knative Service's CRD that are merged by key (x-kubernetes-list-type: map); order has no say in them,
#: except in ``env``, where a variable may refer to an earlier one.
_KEYED_LISTS = {"env": "name", "volumeMounts": "mountPath", "volumes": "name", "imagePullSecrets": "name"}
_ORDERED = frozenset({"env"})
_QUANTITY_PARENTS = frozenset({"limits", "requests"})
_QUANTITY_FIELDS = frozenset({"sizeLimit", "storage"})
_METADATA_OF_OTHERS = frozenset({"ownerReferences"})


def covers(live: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether the live object has everything the desired one says, whatever else it has."""
    return not differences(live, desired)


def differences(live: Mapping[str, Any], desired: Mapping[str, Any]) -> list[str]:
    """Paths in the desired object where the live one says something else, for the log and for Events."""
    return _compare(live, desired, ())


def _compare(live: Any, desired: Any, path: tuple[str, ...]) -> list[str]:
    if live is None:
        return [] if _is_empty(desired) else [_text(path)]
    if isinstance(desired, Mapping):
        if not isinstance(live, Mapping):
            return [_text(path)]
        return [found for key in desired for found in _compare(live.get(key), desired[key], (*path, key))]
    if isinstance(desired, list):
        return _compare_lists(live, desired, path) if isinstance(live, list) else [_text(path)]
    if _same_scalar(live, desired, path):
        return []
    return [_text(path)]


def _compare_lists(live: list[Any], desired: list[Any], path: tuple[str, ...]) -> list[str]:
    field = path[-1] if path else ""
    if field in _METADATA_OF_OTHERS:
        # Other owners may stand beside us.
        return [] if all(any(not _compare(it, want, path) for it in live) for want in desired) else [_text(path)]
    key = _KEYED_LISTS.get(field)
    if key is None or not _all_keyed([*live, *desired], key):
        if len(live) != len(desired):
            return [_text(path)]
        return [
            found
            for number, (have, want) in enumerate(zip(live, desired, strict=True))
            for found in _compare(have, want, (*path, str(number)))
        ]
    place = {item[key]: number for number, item in enumerate(live)}
    missing = [_text((*path, str(want[key]))) for want in desired if want[key] not in place]
    if missing:
        return missing
    order = [place[want[key]] for want in desired]
    if field in _ORDERED and order != sorted(order):
        return [_text(path)]
    return [found for want in desired for found in _compare(live[place[want[key]]], want, (*path, str(want[key])))]


def _same_scalar(live: Any, desired: Any, path: tuple[str, ...]) -> bool:
    if type(live) is type(desired) and live == desired:
        return True
    if isinstance(live, bool) or isinstance(desired, bool):
        return False
    if (len(path) >= 2 and path[-2] in _QUANTITY_PARENTS) or (path and path[-1] in _QUANTITY_FIELDS):
        return same_quantity(live, desired)
    return bool(live == desired)


def _all_keyed(items: list[Any], key: str) -> bool:
    return all(isinstance(item, Mapping) and key in item for item in items)


def _is_empty(desired: Any) -> bool:
    # The API server keeps no nulls, and typed clients drop empty maps, lists and strings on their way.
    return desired is None or (not isinstance(desired, bool | int | float) and len(desired) == 0)


def _text(path: tuple[str, ...]) -> str:
    return ".".join(path)
