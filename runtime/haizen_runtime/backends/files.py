"""Which file in a model directory is the model, or which directory is."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from haizen_runtime.backends.formats import FORMATS, Format
from haizen_runtime.protocol.errors import InvalidConfiguration, ModelLoadFailed

MAX_DEPTH = 3
"""How many directories deep a lone model file is looked for."""


def find_model(directory: Path, model_format: str | None) -> tuple[Path, Format]:
    """The one model in a directory, a file or a directory, or what is given itself; and its format.

    KServe's rule: exactly one of the format's kind. Directories named by numbers are versions, of which only the
    highest is looked into (TensorFlow Serving's and Triton's layout). Raises ModelLoadFailed when there is none or
    more than one, InvalidConfiguration for a format that does not exist.
    """
    if not directory.exists():
        raise ModelLoadFailed(f"The model directory {directory} does not exist.")
    formats = _formats(model_format) if model_format else list(FORMATS.values())
    if directory.is_file():
        return directory, _format_of_file(directory, formats)
    candidates = _candidates(directory, formats, MAX_DEPTH)
    if not candidates:
        raise ModelLoadFailed(f"No model file in {directory}: expected {_expected(formats)}.")
    if len(candidates) > 1:
        listed = ", ".join(str(path.relative_to(directory)) for path in candidates[:10])
        raise ModelLoadFailed(f"{len(candidates)} model files in {directory}: {listed}; expected exactly one.")
    return candidates[0], _format_of_file(candidates[0], formats)


def _formats(name: str) -> list[Format]:
    try:
        kind = FORMATS[name.lower()]
    except KeyError:
        known = ", ".join(FORMATS)
        raise InvalidConfiguration(f"The model format {name[:60]} is unknown; known formats: {known}.") from None
    return [kind, *(FORMATS[other] for other in kind.also)]


def _candidates(directory: Path, formats: list[Format], depth: int) -> list[Path]:
    entries = sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file()]
    strong = {end for each in formats for end in each.extensions}
    weak = {end for each in formats for end in each.weak_extensions}
    named = [file for file in files if any(file.name.lower() in each.names for each in formats)]
    if named:
        return named
    if any(is_model_directory(directory, each) for each in formats):
        return [directory]
    for endings in (strong, weak):
        found = [file for file in files if file.suffix.lower() in endings]
        if found:
            return found
    if depth == 0:
        return []
    folders = [entry for entry in entries if entry.is_dir()]
    versions = sorted((entry for entry in folders if _is_version(entry)), key=lambda entry: int(entry.name))
    folders = [entry for entry in folders if not _is_version(entry)] + versions[-1:]
    return [path for folder in folders for path in _candidates(folder, formats, depth - 1)]


def _is_version(directory: Path) -> bool:
    return directory.name.isascii() and directory.name.isdigit()


def is_model_directory(directory: Path, kind: Format) -> bool:
    """Whether a directory as a whole is a model of this format, by the names of its files."""
    if not kind.directories:
        return False
    names = [entry.name.lower() for entry in directory.iterdir() if entry.is_file()]
    return any(
        all(any(fnmatchcase(name, pattern) for name in names) for pattern in group) for group in kind.directories
    )


def _format_of_file(path: Path, formats: list[Format]) -> Format:
    if path.is_dir():
        return next(each for each in formats if is_model_directory(path, each))
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
    folders = dict.fromkeys(" and ".join(group) for each in formats for group in each.directories)
    directories = " or ".join(f"a directory with {group}" for group in folders)
    return " or ".join(
        part for part in (f"one file ending in {endings}" if endings else "", names, directories) if part
    )
