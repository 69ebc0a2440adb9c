"""Placeholders in a runtime's containers: the part of Go's text/template that KServe's runtimes use.

``{{.Name}}``, ``{{.Namespace}}``, ``{{.Labels.x}}``, ``{{.Annotations.x}}`` and ``{{index .Labels "a/b"}}``, with
spaces and the trim markers ``{{-`` and ``-}}``. KServe prints ``<no value>`` for a label that does not exist; here it
is an error, because such a server would start with a wrong setting and nobody would be told.
"""

import re
from collections.abc import Mapping
from typing import Any

from haizen_operator.api import ObjectMeta

_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
_FIELD = re.compile(r"\.(\w+)(?:\.([\w]+))?", re.ASCII)
_INDEX = re.compile(r'index\s+\.(Labels|Annotations)\s+"([^"]*)"')
_KNOWN = "{{.Name}}, {{.Namespace}}, {{.Labels.<key>}}, {{.Annotations.<key>}}"


class TemplateError(ValueError):
    """A placeholder that cannot be filled; the message names it and where it stands."""


def fill_placeholders(value: Any, metadata: ObjectMeta, where: str) -> Any:
    """A copy of ``value`` with the placeholders in all of its strings (keys too) filled from ``metadata``.

    ``where`` names the value in error messages. Raises ``TemplateError``.
    """
    if isinstance(value, str):
        return _fill(value, metadata, where)
    if isinstance(value, Mapping):
        return {
            _fill(key, metadata, where): fill_placeholders(item, metadata, f"{where}.{key}")
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [fill_placeholders(item, metadata, f"{where}[{number}]") for number, item in enumerate(value)]
    return value


def _fill(text: str, metadata: ObjectMeta, where: str) -> str:
    if "{{" not in text:
        return text
    parts: list[str] = []
    end, trim_next = 0, False
    for action in _ACTION.finditer(text):
        literal = text[end : action.start()]
        literal = literal.lstrip() if trim_next else literal
        parts.append(literal.rstrip() if action.group(1) else literal)
        parts.append(_value(action.group(2), metadata, where))
        end, trim_next = action.end(), bool(action.group(3))
    rest = text[end:]
    if "{{" in rest:
        raise TemplateError(f"{where}: the placeholder {rest[rest.index('{{') :]!r} has no closing }}}}")
    parts.append(rest.lstrip() if trim_next else rest)
    return "".join(parts)


def _value(expression: str, metadata: ObjectMeta, where: str) -> str:
    if expression.startswith("/*"):
        return ""
    if match := _INDEX.fullmatch(expression):
        return _entry(match.group(1), match.group(2), metadata, where)
    if match := _FIELD.fullmatch(expression):
        field, key = match.groups()
        if key is None and field == "Name":
            return metadata.name
        if key is None and field == "Namespace":
            return metadata.namespace or "default"
        if key is not None and field in ("Labels", "Annotations"):
            return _entry(field, key, metadata, where)
    raise TemplateError(f"{where}: unknown placeholder {{{{{expression}}}}}; use one of {_KNOWN}")


def _entry(field: str, key: str, metadata: ObjectMeta, where: str) -> str:
    entries = metadata.labels if field == "Labels" else metadata.annotations
    if key not in entries:
        raise TemplateError(
            f"{where}: the placeholder {{{{.{field}.{key}}}}} needs the {field.lower()[:-1]} {key!r}, "
            f"which InferenceService {metadata.name} does not have"
        )
    return entries[key]
