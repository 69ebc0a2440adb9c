"""Which file in a model directory is the model."""

from __future__ import annotations

from pathlib import Path

from haizen_runtime.backends.formats import FORMATS, Format
from haizen_runtime.protocol.errors import InvalidConfiguration, ModelLoadFailed

MAX_DEPTH = 3
"""How many directories deep a lone model file is looked for."""


def find_model(directory: Path, model_format: str | None) -> tuple[Path, Format]:
    """The one model file in a directory (or the file itself), and its format.

    KServe's rule: exactly one file of the format's kind. Raises ModelLoadFailed when there is none or more than one,
    InvalidConfiguration for a format that does not exist.
    """
    if not directory.exists():
        raise ModelLoadFailed(f"The model directory {directory} does not exist.")
    formats = [_format(model_format)] if model_format else list(FORMATS.values())
    if directory.is_file():
        return directory, _format_of_file(directory, formats)
    candidates = _candidates(directory, formats, MAX_DEPTH)
    if not candidates:
        raise ModelLoadFailed(f"No model file in {directory}: expected {_expected(formats)}.")
    if len(candidates) > 1:
        listed = ", ".join(str(path.relative_to(directory)) for path in candidates[:10])
        raise ModelLoadFailed(f"{len(candidates)} model files in {directory}: {listed}; expected exactly one.")
    return candidates[0], _format_of_file(candidates[0], formats)


def _format(name: str) -> Format:
    try:
        return FORMATS[name.lower()]
    except KeyError:
        known = ", ".join(FORMATS)
        raise InvalidConfiguration(f"The model format {name[:60]} is unknown; known formats: {known}.") from None


def _candidates(directory: Path, formats: list[Format], depth: int) -> list[Path]:
    entries = sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file()]
    strong = {end for each in formats for end in each.extensions}
    weak = {end for each in formats for end in each.weak_extensions}
    named = [file for file in files if any(file.name.lower() in each.names for each in formats)]
    if named:
        return named
    for endings in (strong, weak):
        found = [file for file in files if file.suffix.lower() in endings]
        if found:
            return found
    if depth == 0:
        return []
    return [path for entry in entries if entry.is_dir() for path in _candidates(entry, formats, depth - 1)]


def _format_of_file(path: Path, formats: list[Format]) -> Format:
    ending = path.suffix.lower()
    matching = [each for each in formats if path.name.lower() in each.names] or [
        each for each in formats if ending in each.extensions or ending in each.weak_extensions
    ]
    if not matching:
        raise ModelLoadFailed(f"{path} is not a model file: expected {_expected(formats)}.")
    if len(matching) == 1:
        return matching[0]
    # .bst is what KServe calls the files of both; LightGBM's are text that begins with the word "tree".
    with path.open("rb") as file:
        is_lightgbm = file.read(4) == b"tree"
    name = "lightgbm" if is_lightgbm else "xgboost"
    return next(each for each in matching if each.name == name)


def _expected(formats: list[Format]) -> str:
    endings = ", ".join(dict.fromkeys(end for each in formats for end in (*each.extensions, *each.weak_extensions)))
    names = " or ".join(name for each in formats for name in each.names)
    return " or ".join(part for part in (f"one file ending in {endings}" if endings else "", names) if part)
