"""Model paths of a YAML file on this machine: relative ones become absolute, samples are made when they are missing."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from haizen_cli.documents import Document
from haizen_cli.errors import CliError
from haizen_cli.samples import NAMES, SAMPLE_ANNOTATION, digits, is_missing
from haizen_operator import names
from haizen_operator.api import LEGACY_FRAMEWORKS


def with_absolute_uris(document: Document) -> Document:
    """Return the document with each model path made absolute: relative ones are relative to the YAML file."""
    if document.kind != "InferenceService":
        return document
    content = copy.deepcopy(document.content)
    spec = content.get("spec")
    predictor = spec.get("predictor") if isinstance(spec, dict) else None
    if not isinstance(predictor, dict):
        return document
    for holder, key in _uri_fields(predictor):
        if isinstance(uri := holder.get(key), str) and uri:
            holder[key] = absolute_uri(uri, document.folder)
    return Document(document.file, document.folder, content, document.node)


def absolute_uri(uri: str, folder: Path) -> str:
    """Return ``file:///...`` for a path; a URI with a scheme stays as it is."""
    if "://" in uri:
        return uri
    return (folder / Path(uri).expanduser()).resolve().as_uri()


def local_paths(document: Document) -> list[Path]:
    """Return the paths of this machine that an InferenceService's models lie at."""
    predictor = document.content["spec"]["predictor"]
    uris = [str(holder.get(key) or "") for holder, key in _uri_fields(predictor)]
    return [Path(unquote(urlsplit(uri).path)) for uri in uris if uri.startswith("file://")]


def make_missing_samples(document: Document, say: Callable[[str], None]) -> None:
    """Train the sample that an InferenceService's annotation names, where its folder is missing.

    Raises:
        CliError: the annotation names no sample of ours, or its path says no format.
    """
    metadata = document.content.get("metadata") or {}
    name = (metadata.get("annotations") or {}).get(SAMPLE_ANNOTATION)
    if name is None:
        return
    if name not in NAMES:
        raise CliError(
            f"there is no sample {name!r}",
            where=document.where(f"metadata.annotations['{SAMPLE_ANNOTATION}']"),
            fix=f"The samples are: {', '.join(NAMES)}.",
        )
    for folder in local_paths(document):
        if not is_missing(folder):
            continue
        if folder.name not in digits.FORMATS:
            raise CliError(
                f"the folder of a sample says its format; {folder.name!r} is none",
                where=document.where("spec.predictor"),
                fix=f"End storageUri with one of: {', '.join(digits.FORMATS)}.",
            )
        say(f"training the sample {name} ({folder.name}) in {folder}")
        sample = digits.write(folder.parent, (folder.name,))
        say(f"trained: {sample.accuracy:.0%} of {digits.HELD_OUT} held-out digits are right")


def _uri_fields(predictor: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    frameworks = ("model", *LEGACY_FRAMEWORKS)
    found = [(predictor[name], "storageUri") for name in frameworks if isinstance(predictor.get(name), dict)]
    found += [(item, "uri") for item in predictor.get("storageUris") or [] if isinstance(item, dict)]
    for container in predictor.get("containers") or []:
        if isinstance(container, dict):
            found += [
                (entry, "value")
                for entry in container.get("env") or []
                if isinstance(entry, dict) and entry.get("name") == names.ENV_STORAGE_URI
            ]
    return found
