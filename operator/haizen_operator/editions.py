"""Runtimes read once for each of their editions, since every InferenceService asks for all of them each time. Pure."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from haizen_operator.api import ServingRuntime

Manifest = dict[str, Any]


@dataclass(frozen=True)
class _Edition:
    """What the API server never gives to two different contents: a uid and a resourceVersion."""

    model: type[ServingRuntime]
    uid: str
    resource_version: str
    manifest: Manifest = field(compare=False, repr=False)


def read_runtime(model: type[ServingRuntime], manifest: Manifest) -> ServingRuntime:
    """The runtime of a manifest; one from the API server is read only the first time.

    Raises:
        pydantic.ValidationError: a field has a wrong type.
    """
    metadata = manifest.get("metadata") or {}
    uid, version = metadata.get("uid"), metadata.get("resourceVersion")
    if not uid or not version:
        return model.from_manifest(manifest)
    return _read(_Edition(model, uid, version, manifest))


@lru_cache(maxsize=512)
def _read(edition: _Edition) -> ServingRuntime:
    return edition.model.from_manifest(edition.manifest)
