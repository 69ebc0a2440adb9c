"""What others have set in a child that we apply, read from its managedFields, and how to put it right. Pure.

A server-side apply takes back a field that we want and somebody else changed. It leaves a field that somebody else
added: the API server removes only what the applying manager has owned itself. One JSON patch does both.

The fields that count are those inside `spec` that have another owner. What Knative's webhook and the API server fill in
has no owner, because managedFields are computed before admission; other people's labels and annotations on the child's
own metadata are left alone.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from haizen_operator.resources.drift import differences

Manifest = dict[str, Any]
Path = tuple[str, ...]
_SHARED_METADATA = ("labels", "annotations")


@dataclass(frozen=True)
class _Finding:
    """A field with an owner: `path` leads to it through maps, at most to the list that it is in."""

    path: Path
    text: str
    added: bool
    """We do not want it at all; else it is a list or map that we want."""
    in_list: bool = False
    whole: bool = False
    """The owner has set all of it, not some items or keys, and not to what we want."""


@dataclass(frozen=True)
class ForeignEdits:
    """Fields of others in the spec of a child, each as text for people: its path, and who set it."""

    added: tuple[str, ...] = ()
    """Fields that we do not want: no apply of ours removes them."""
    replaced: tuple[str, ...] = ()
    """Lists and maps that we want and somebody else has set as a whole: an apply takes them back."""


def foreign_edits(
    live: Manifest, child: Manifest, *, manager: str, given: Mapping[Path, Any] | None = None
) -> ForeignEdits:
    """What others than `manager` have set in the spec of the live object beside the `child` that we want.

    `given`: values below `spec` that the cluster gave the object when it was created and would not give again.
    """
    added = {
        f"{finding.text} (set by {entry.get('manager')})": None
        for entry in _spec_entries(live)
        # What a patch of our own has set counts as well: an apply does not remove that either.
        if (entry.get("manager"), entry.get("operation")) != (manager, "Apply")
        for finding in _findings(entry, live, child)
        if finding.added and not _is_given(finding, live, given or {})
    }
    replaced = {f"{it.text} (set by {who})": None for who, it in _replaced(live, child, manager)}
    return ForeignEdits(tuple(added), tuple(replaced))


def restoring_operations(
    live: Manifest, child: Manifest, *, manager: str, given: Mapping[Path, Any] | None = None
) -> tuple[Manifest, ...]:
    """A JSON patch that makes the live object the child that we want, and guards against a change in between.

    What nobody owns (defaults, what webhooks fill in) stays as it is, so that no revision is made because of it.
    """
    added = [it for entry in _spec_entries(live) for it in _findings(entry, live, child) if it.added]
    spec: Manifest = deepcopy(live["spec"])
    for path in {it.path for it in added if not it.in_list}:
        _put(spec, path, (given or {}).get(path))
    stale = {it.path for it in added if it.in_list} | {it.path for _, it in _replaced(live, child, manager)}
    _overlay(spec, child["spec"], stale, ())
    metadata = _restored_metadata(live["metadata"], child["metadata"], manager)
    return (
        {"op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        *({"op": "add", "path": f"/metadata/{key}", "value": value} for key, value in metadata.items()),
        {"op": "replace", "path": "/spec", "value": spec},
    )


def is_applied_by(live: Manifest, manager: str) -> bool:
    """Whether the manager has ever applied the object and still owns something in it."""
    return any(it.get("manager") == manager and it.get("operation") == "Apply" for it in _spec_entries(live))


def _spec_entries(live: Manifest) -> list[Manifest]:
    return [it for it in live["metadata"].get("managedFields") or [] if not it.get("subresource")]


def _replaced(live: Manifest, child: Manifest, manager: str) -> list[tuple[str, _Finding]]:
    """Lists and maps that others have set as a whole, and in which nothing is ours any more; each with its owner."""
    found = [
        (str(entry.get("manager")), finding)
        for entry in _spec_entries(live)
        for finding in _findings(entry, live, child)
        if not finding.added
    ]
    ours = {finding.text for who, finding in found if who == manager}
    return [(who, finding) for who, finding in found if finding.whole and finding.text not in ours]


def _is_given(finding: _Finding, live: Manifest, given: Mapping[Path, Any]) -> bool:
    value: Any = live["spec"]
    for part in finding.path:
        value = value[part]
    return finding.path in given and given[finding.path] == value


def _findings(entry: Manifest, live: Manifest, child: Manifest) -> Iterator[_Finding]:
    fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return _in_map(fields, live.get("spec"), child.get("spec"), (), "spec", None)


def _in_map(
    fields: Manifest, live: Any, wanted: Any, path: Path, text: str, list_path: Path | None
) -> Iterator[_Finding]:
    if not isinstance(live, Mapping) or not isinstance(wanted, Mapping):
        return
    for key, inner in fields.items():
        name = key.removeprefix("f:")
        if name == key or live.get(name) is None:
            continue
        here, words = (*path, name), f"{text}.{name}"
        if wanted.get(name) is None:
            yield _Finding(list_path or here, words, added=True, in_list=list_path is not None)
        else:
            yield from _below(inner, live[name], wanted[name], here, words, list_path)


def _below(
    fields: Manifest, live: Any, wanted: Any, path: Path, text: str, list_path: Path | None
) -> Iterator[_Finding]:
    if isinstance(wanted, Mapping | list):
        whole = not fields and live != wanted
        yield _Finding(list_path or path, text, added=False, in_list=list_path is not None, whole=whole)
    if isinstance(wanted, list) and isinstance(live, list):
        yield from _in_list(fields, live, wanted, path, text, list_path)
    else:
        yield from _in_map(fields, live, wanted, path, text, list_path)


def _in_list(
    fields: Manifest, live: list[Any], wanted: list[Any], path: Path, text: str, list_path: Path | None
) -> Iterator[_Finding]:
    """Items of a list that the API merges by key (`k:{"name":"x"}`) or by value (`v:"x"`)."""
    at = list_path or path
    for key, inner in fields.items():
        kind, _, rest = key.partition(":")
        if kind not in ("k", "v"):
            continue
        value = json.loads(rest)
        have, want = _item(live, value), _item(wanted, value)
        words = f"{text}[{'/'.join(str(it) for it in value.values()) if isinstance(value, Mapping) else value}]"
        if have is not None and want is None:
            yield _Finding(at, words, added=True, in_list=True)
        elif have is not None and isinstance(want, Mapping):
            yield from _in_map(inner, have, want, path, words, at)


def _item(items: list[Any], key: Any) -> Any:
    """The item with these key fields; one that leaves out a key field has its default."""
    if not isinstance(key, Mapping):
        return key if key in items else None
    return next(
        (
            it
            for it in items
            if isinstance(it, Mapping) and all(it.get(name, value) == value for name, value in key.items())
        ),
        None,
    )


def _put(spec: Manifest, path: Path, value: Any) -> None:
    """Remove a field, or give it the value that it had at first."""
    for part in path[:-1]:
        spec = spec[part]
    if value is None:
        spec.pop(path[-1], None)
    else:
        spec[path[-1]] = value


def _overlay(live: Manifest, wanted: Manifest, stale: set[Path], path: Path) -> None:
    for key, want in wanted.items():
        have, here = live.get(key), (*path, key)
        if isinstance(have, dict) and isinstance(want, Mapping) and here not in stale:
            _overlay(have, dict(want), stale, here)
        elif here in stale or have is None or differences({key: have}, {key: want}):
            live[key] = deepcopy(want)


def _restored_metadata(live: Manifest, wanted: Manifest, manager: str) -> Manifest:
    """The labels, annotations and owners that differ from the live ones, those of others kept."""
    restored: Manifest = {}
    for what in _SHARED_METADATA:
        once_ours = {
            key.removeprefix("f:")
            for entry in live.get("managedFields") or []
            if entry.get("manager") == manager
            for key in ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get(f"f:{what}") or {}
        }
        have, want = live.get(what) or {}, wanted.get(what) or {}
        restored[what] = {key: value for key, value in have.items() if key not in once_ours} | want
    owners = wanted.get("ownerReferences") or []
    uids = {owner["uid"] for owner in owners}
    restored["ownerReferences"] = [
        *(it for it in live.get("ownerReferences") or [] if it.get("uid") not in uids),
        *owners,
    ]
    return {key: value for key, value in restored.items() if value != (live.get(key) or type(value)())}
