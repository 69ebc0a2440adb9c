"""Reads YAML files into Kubernetes objects that remember the file and the line each field came from."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from haizen_cli.errors import CliError, place

STDIN = "-"
"""The file name that stands for standard input."""

_PATH_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]|\[['\"]?([^'\"\]]+)['\"]?\]")


@dataclass(frozen=True)
class Document:
    """One YAML document: the object, and where it stands.

    Attributes:
        file: The file's name as the user gave it (``<stdin>`` for standard input).
        folder: The folder that relative paths in the document are relative to.
        content: The object as plain Python values.
    """

    file: str
    folder: Path
    content: dict[str, Any]
    node: yaml.nodes.Node = field(repr=False, compare=False)

    @property
    def kind(self) -> str:
        """The object's kind, empty when it names none."""
        return str(self.content.get("kind") or "")

    @property
    def api_group(self) -> str:
        """The group of ``apiVersion``: ``serving.kserve.io`` of ``serving.kserve.io/v1beta1``."""
        version = str(self.content.get("apiVersion") or "")
        return version.rpartition("/")[0]

    @property
    def name(self) -> str:
        """``metadata.name``, empty when absent."""
        return str(self._metadata().get("name") or "")

    @property
    def namespace(self) -> str:
        """``metadata.namespace``, ``default`` when absent."""
        return str(self._metadata().get("namespace") or "default")

    @property
    def title(self) -> str:
        """The object as people name it: ``InferenceService digits``."""
        return f"{self.kind or 'object'} {self.name or '(without a name)'}"

    def line(self, path: str = "") -> int:
        """Return the line (from 1) of a field such as ``spec.predictor.containers[0].image``.

        A field that does not exist answers with the line of its nearest parent that does.
        """
        node = self.node
        best = node.start_mark.line + 1
        for name, index, quoted in _PATH_PART.findall(path):
            step = _child(node, int(index) if index else (name or quoted))
            if step is None:
                break
            best, node = step
        return best

    def where(self, path: str = "") -> str:
        """Name the place of a field: ``file:line``."""
        return place(self.file, self.line(path))

    def _metadata(self) -> dict[str, Any]:
        metadata = self.content.get("metadata")
        return metadata if isinstance(metadata, dict) else {}


def _child(node: yaml.nodes.Node, step: str | int) -> tuple[int, yaml.nodes.Node] | None:
    if isinstance(node, yaml.nodes.MappingNode) and isinstance(step, str):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.nodes.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark.line + 1, item
    return None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that refuses a key given twice, as kubectl's strict validation does."""

    def construct_mapping(self, node: yaml.nodes.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.nodes.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} is given twice in one mapping", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


# Kubernetes reads YAML through JSON: a timestamp stays the text it was written as.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str, file: str, folder: Path) -> list[Document]:
    """Read every document of a YAML text; ``kind: List`` is taken apart, empty documents are left out.

    Raises:
        CliError: the text is no YAML, or a document is no object.
    """
    loader = _Loader(text)
    documents: list[Document] = []
    try:
        while loader.check_node():
            node = loader.get_node()
            content = loader.construct_document(node)
            if content is None or node is None:
                continue
            if not isinstance(content, dict):
                raise CliError(
                    "expected a Kubernetes object (a mapping with apiVersion and kind), "
                    f"found {type(content).__name__}",
                    where=place(file, node.start_mark.line + 1),
                )
            if content.get("kind") == "List" and isinstance(content.get("items"), list):
                items = _child(node, "items")
                nodes = items[1].value if items else []
                documents += [
                    Document(file, folder, item, item_node)
                    for item, item_node in zip(content["items"], nodes, strict=True)
                    if isinstance(item, dict)
                ]
            else:
                documents.append(Document(file, folder, content, node))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        detail = ", ".join(part for part in (error.context, error.problem) if part)
        raise CliError(f"not valid YAML: {detail}", where=place(file, mark.line + 1 if mark else None)) from error
    except yaml.YAMLError as error:
        raise CliError(f"not valid YAML: {error}", where=file) from error
    finally:
        loader.dispose()
    return documents


def read(files: Iterable[str], *, edited: bool = False) -> list[Document]:
    """Read the documents of several files; ``-`` is standard input, a folder stands for its ``.yaml`` files.

    Args:
        files: Names of files and folders.
        edited: One of them was just changed. What is empty then is about to be written, and says nothing yet.

    Raises:
        CliError: a file is missing, unreadable, no UTF-8 or no YAML, or it is empty just after an edit.
    """
    documents: list[Document] = []
    for name in files:
        if name == STDIN:
            documents += parse(sys.stdin.read(), "<stdin>", Path.cwd())
            continue
        for path in expand(name):
            try:
                text = path.read_text(encoding="utf-8")
            except OSError as error:
                raise CliError(
                    f"cannot be read: {error.strerror}",
                    where=str(path),
                    fix="Name an existing YAML file, or - for stdin.",
                ) from error
            except UnicodeDecodeError as error:
                raise CliError(f"is not UTF-8 text (byte {error.start})", where=str(path)) from error
            if edited and not text:
                raise CliError("is empty", where=str(path))
            documents += parse(text, str(path), path.resolve().parent)
    return documents


def expand(name: str) -> list[Path]:
    """Return the files that a name stands for: itself, or the YAML files of a folder in order of name."""
    path = Path(name)
    if not path.is_dir():
        return [path]
    found = sorted(child for child in path.iterdir() if child.suffix in {".yaml", ".yml"})
    if not found:
        raise CliError("the folder holds no .yaml file", where=name)
    return found
