"""How a pod may reach a store: references to secrets and configuration maps, never the secrets themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StorageConfigEntry:
    """One key of the secret storage-config, without what is secret in it."""

    type: str | None = None
    bucket: str | None = None
    ca_bundle_config_map: str | None = None
    #: Why the entry cannot be read, if so.
    error: str | None = None


@dataclass(frozen=True, slots=True)
class StorageAccess:
    """The credentials found for a predictor: what ``resources.credentials.storage_access`` makes."""

    env: tuple[Mapping[str, Any], ...] = ()
    volumes: tuple[Mapping[str, Any], ...] = ()
    volume_mounts: tuple[Mapping[str, Any], ...] = ()
    #: Keys of the storage-config secret; none when there is no such secret.
    storage_config: Mapping[str, StorageConfigEntry] | None = None
    storage_config_secret: str = ""
    #: What is wrong with the credentials without being fatal, for a Warning event: secrets named but not found.
    warnings: tuple[str, ...] = field(default=())


NO_ACCESS = StorageAccess()
