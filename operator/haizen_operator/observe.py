"""Read the world of one InferenceService: everything that `plan.decide` looks at.

The InferenceService, its Knative Service and the revisions are read live, each time: decisions about traffic made from
a cache send requests to the wrong revision. What hardly ever changes and is the same for many services (runtimes,
ConfigMaps, ServiceAccounts, secrets) is kept for a few seconds, and dropped at once when a watch says that it changed.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from haizen_operator import names
from haizen_operator.api import InferenceService
from haizen_operator.cache import Cache
from haizen_operator.config import ConfigError
from haizen_operator.kinds import (
    CLUSTER_SERVING_RUNTIME,
    CONFIG_MAP,
    INFERENCE_SERVICE,
    KNATIVE_REVISION,
    KNATIVE_SERVICE,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    SERVING_RUNTIME,
    Kind,
)
from haizen_operator.kube.client import KubeClient
from haizen_operator.kube.errors import Forbidden, NotFound
from haizen_operator.observed import Configuration, Observed
from haizen_operator.resources.credentials import secret_names, service_account_name

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where the ConfigMaps are."""

    config_map: str
    config_namespace: str
    knative_namespace: str


@dataclass
class Observer:
    """Reads the world; one for all InferenceServices."""

    client: KubeClient
    places: Places
    runtime_image: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    runtimes: Cache[list[Manifest]] = field(default_factory=lambda: Cache(ttl_seconds=60.0))
    """Runtimes by namespace ("" for the cluster's); a watch drops what changed."""
    credentials: Cache[Manifest | None] = field(default_factory=lambda: Cache(ttl_seconds=5.0))
    """ServiceAccounts and secrets, which are not watched: the operator may not list them."""
    config_maps: Cache[Mapping[str, str] | None] = field(default_factory=lambda: Cache(ttl_seconds=60.0))
    """ConfigMaps' data; read anew by whoever polls for changes."""

    _configuration: Configuration = field(default_factory=Configuration)

    async def observe(self, namespace: str, name: str) -> Observed | None:
        """The world of one InferenceService, or None when it does not exist."""
        service_name = names.predictor_service_name(name)
        # What is kept is nearly always at hand: one after the other, it costs no tasks.
        configuration = await self.configuration()
        cluster_runtimes = await self._runtimes(CLUSTER_SERVING_RUNTIME, "")
        runtimes = await self._runtimes(SERVING_RUNTIME, namespace)
        isvc, service = await asyncio.gather(
            self.client.get(INFERENCE_SERVICE, name, namespace),
            self.client.get(KNATIVE_SERVICE, service_name, namespace),
        )
        if isvc is None:
            return None
        account, secrets = await self._credentials(isvc, configuration)
        revisions, pods = await self._children(service_name, namespace) if service is not None else ([], [])
        return Observed(
            isvc=isvc,
            service=service,
            revisions=tuple(revisions),
            pods=tuple(pods),
            runtimes=tuple(runtimes),
            cluster_runtimes=tuple(cluster_runtimes),
            service_account=account,
            secrets=secrets,
            configuration=configuration,
            now=self.clock(),
        )

    async def configuration(self) -> Configuration:
        """The ConfigMaps' data: KServe's, and Knative's three."""
        places = self.places
        now = Configuration(
            await self._config_map(places.config_map, places.config_namespace),
            await self._config_map(names.KNATIVE_FEATURES_CONFIG_MAP, places.knative_namespace),
            await self._config_map(names.KNATIVE_AUTOSCALER_CONFIG_MAP, places.knative_namespace),
            await self._config_map(names.KNATIVE_DEFAULTS_CONFIG_MAP, places.knative_namespace),
            self.runtime_image,
        )
        if now != self._configuration:
            self._configuration = now
        return self._configuration  # the one whose settings were read already

    async def _config_map(self, name: str, namespace: str) -> Mapping[str, str] | None:
        async def read() -> Mapping[str, str] | None:
            try:
                found = await self.client.get(CONFIG_MAP, name, namespace)
            except Forbidden:
                return None  # the same as absent: nothing is said about it
            return None if found is None else found.get("data") or {}

        return await self.config_maps.get((namespace, name), read)

    async def _runtimes(self, kind: Kind, namespace: str) -> list[Manifest]:
        async def read() -> list[Manifest]:
            try:
                return await self.client.find(kind, namespace or None)
            except NotFound:
                return []  # the CRD is not installed yet

        return await self.runtimes.get(namespace, read)

    async def _children(self, service_name: str, namespace: str) -> tuple[list[Manifest], list[Manifest]]:
        """The revisions and the pods of a Knative Service."""
        labels = f"{names.LABEL_KNATIVE_SERVICE}={service_name}"

        async def find(kind: Kind) -> list[Manifest]:
            try:
                return await self.client.find(kind, namespace, labels=labels)
            except NotFound:
                return []

        revisions, pods = await asyncio.gather(find(KNATIVE_REVISION), find(POD))
        return revisions, pods

    async def _credentials(
        self, isvc: Manifest, configuration: Configuration
    ) -> tuple[Manifest | None, dict[str, Manifest]]:
        """The ServiceAccount and the secrets it needs; nothing for a spec that cannot be read (the plan says why)."""
        try:
            parsed = InferenceService.from_manifest(isvc)
            config = configuration.settings
        except (ValidationError, ConfigError, ValueError):
            return None, {}
        namespace = isvc["metadata"]["namespace"]
        account = await self._credential(SERVICE_ACCOUNT, service_account_name(parsed), namespace)
        wanted = secret_names(parsed, account, config.credentials)
        found = await asyncio.gather(*(self._credential(SECRET, name, namespace) for name in wanted))
        return account, {name: secret for name, secret in zip(wanted, found, strict=True) if secret is not None}

    async def _credential(self, kind: Kind, name: str, namespace: str) -> Manifest | None:
        async def read() -> Manifest | None:
            try:
                return await self.client.get(kind, name, namespace)
            except Forbidden:
                return None

        return await self.credentials.get((kind.kind, namespace, name), read)
