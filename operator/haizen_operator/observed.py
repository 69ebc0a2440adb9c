"""The world of one InferenceService as it was read: the argument of every decision. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from haizen_operator.config import OperatorConfig, knative_settings

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Configuration:
    """Data of the ConfigMaps; None for one that is absent or not readable."""

    config_map: Mapping[str, str] | None = None
    knative_features: Mapping[str, str] | None = None
    knative_autoscaler: Mapping[str, str] | None = None
    knative_defaults: Mapping[str, str] | None = None
    runtime_image: str = ""
    """Image of haizen's own runtime; empty for the one released with the operator."""

    @cached_property
    def settings(self) -> OperatorConfig:
        """What the data says, read once.

        Raises:
            ConfigError: a key of KServe's ConfigMap cannot be used.
        """
        knative = knative_settings(self.knative_features, self.knative_autoscaler, self.knative_defaults)
        config = OperatorConfig.from_config_map(self.config_map, knative=knative)
        return config.with_runtime_image(self.runtime_image) if self.runtime_image else config


@dataclass(frozen=True)
class Observed:
    """What was read. The objects are as the API server gave them; `secrets` by name, of those that exist."""

    isvc: Manifest
    now: datetime
    service: Manifest | None = None
    revisions: tuple[Manifest, ...] = ()
    pods: tuple[Manifest, ...] = ()
    runtimes: tuple[Manifest, ...] = ()
    cluster_runtimes: tuple[Manifest, ...] = ()
    service_account: Manifest | None = None
    secrets: Mapping[str, Manifest] = field(default_factory=dict, repr=False)
    configuration: Configuration = field(default_factory=Configuration)

    @property
    def metadata(self) -> Manifest:
        """The InferenceService's metadata."""
        found: Manifest = self.isvc["metadata"]
        return found

    @property
    def status(self) -> Manifest:
        """The InferenceService's status so far; empty for a new one."""
        return self.isvc.get("status") or {}
