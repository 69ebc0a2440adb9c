"""Taking over what another controller wrote with Update, as pure data.

A field that KServe's controller set with an Update stays in an object after our server-side apply, because its manager
still owns it. Handing those fields to our own manager first makes the next apply remove what we do not want any more.
"""

from copy import deepcopy
from typing import Any

Entry = dict[str, Any]

# Knative's webhook owns these and refuses a change; they must not become ours, or the next apply would remove them.
_KEEP = {"f:serving.knative.dev/creator", "f:serving.knative.dev/lastModifier"}


def foreign_entries(entries: list[Entry], *, subresource: str = "") -> list[Entry]:
    """The entries of a (sub)resource that came from Updates; server-side applies of others are theirs to keep."""
    return [e for e in entries if e.get("subresource", "") == subresource and e.get("operation") == "Update"]


def taken_over(entries: list[Entry], *, manager: str, subresource: str = "") -> list[Entry] | None:
    """The managedFields with all Update entries of a (sub)resource made `manager`'s by Apply; None: nothing to do."""
    foreign = foreign_entries(entries, subresource=subresource)
    if not foreign:
        return None
    kept = [entry for entry in entries if entry not in foreign]
    ours = next(
        (
            entry
            for entry in kept
            if entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and entry.get("subresource", "") == subresource
        ),
        None,
    )
    fields: dict[str, Any] = deepcopy(ours.get("fieldsV1") or {}) if ours else {}
    for entry in foreign:
        _merge(fields, entry.get("fieldsV1") or {})
    mine: Entry = {
        **(ours or foreign[0]),
        "manager": manager,
        "operation": "Apply",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [entry for entry in kept if entry is not ours] + [mine]


def _merge(into: dict[str, Any], fields: dict[str, Any]) -> None:
    for key, value in fields.items():
        if key in _KEEP:
            continue
        _merge(into.setdefault(key, {}), value)
