"""The text under each field of a settings class, and `--help`, which is made of them."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from itertools import pairwise

from haizen_runtime.settings import Settings


def field_texts(settings: type) -> dict[str, str]:
    """Field names to the string under each field in the class's source."""
    parsed = ast.parse(inspect.getsource(settings)).body
    body = next(node for node in parsed if isinstance(node, ast.ClassDef)).body
    return {
        field.target.id: " ".join(str(text.value.value).replace("``", "`").split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def help_text() -> str:
    """`--help`, from the fields and the text under each."""
    texts = field_texts(Settings)
    lines = ["usage: haizen-runtime [serve] [--name=value ...]", "       haizen-runtime download URI DIRECTORY", ""]
    for field in fields(Settings):
        default = "" if field.default in ("", False) else f" (default {field.default})"
        lines += [f"  --{field.name}{default}", f"      {texts[field.name]}"]
    lines += ["", "Each setting is also an environment variable: HAIZEN_MODEL_NAME for --model_name."]
    return "\n".join(lines)
