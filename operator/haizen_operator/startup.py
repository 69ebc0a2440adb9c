"""What the leader puts in place once, at start: the built-in runtimes, and Knative's flags if it was asked to."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from haizen_operator import names
from haizen_operator.backoff import Backoff
from haizen_operator.kinds import CLUSTER_SERVING_RUNTIME, CONFIG_MAP
from haizen_operator.kube.client import KubeClient
from haizen_operator.kube.errors import ApiError
from haizen_operator.plan import MANAGER
from haizen_operator.resources.drift import covers

logger = logging.getLogger(__name__)
Manifest = dict[str, Any]


async def until_done(what: str, do: Callable[[], Awaitable[None]]) -> None:
    """Do something, again and again with growing pauses until it works: a CRD may come later than the operator."""
    backoff, failures = Backoff(base_seconds=0.5, max_seconds=10.0), 0
    while True:
        try:
            await do()
            return
        except ApiError as error:
            failures += 1
            delay = backoff.delay(failures, random.random())  # noqa: S311 (jitter, not a secret)
            logger.warning("cannot %s yet: %s; trying again in %.0f s", what, error, delay)
            await asyncio.sleep(delay)


async def install_runtimes(client: KubeClient, runtimes: list[Manifest], *, upgrade: bool) -> None:
    """Apply the built-in ClusterServingRuntimes that are absent; with `upgrade` also those that differ.

    Without `upgrade`, one that exists is left alone, whoever made it and however old it is: changing it would roll
    every service that uses it.
    """
    existing = {found["metadata"]["name"]: found for found in await client.find(CLUSTER_SERVING_RUNTIME)}
    for runtime in runtimes:
        name = runtime["metadata"]["name"]
        live = existing.get(name)
        if live is not None and (not upgrade or covers(live, runtime)):
            continue
        await client.apply(CLUSTER_SERVING_RUNTIME, runtime, manager=MANAGER)
        logger.info("%s the built-in ClusterServingRuntime %s", "upgraded" if live else "installed", name)


async def enable_features(client: KubeClient, namespace: str, flags: tuple[str, ...]) -> None:
    """Switch flags of Knative's config-features on; those that are on already are not written."""
    name = names.KNATIVE_FEATURES_CONFIG_MAP
    found = await client.get(CONFIG_MAP, name, namespace)
    data = (found or {}).get("data") or {}
    if found is not None and all(data.get(flag) == "enabled" for flag in flags):
        return
    manifest: Manifest = {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.kind,
        "metadata": {"name": name, "namespace": namespace},
        "data": dict.fromkeys(flags, "enabled"),
    }
    if found is not None:
        manifest["metadata"]["uid"] = found["metadata"]["uid"]
    await client.apply(CONFIG_MAP, manifest, manager=MANAGER)
    logger.info("enabled in ConfigMap %s/%s: %s", namespace, name, ", ".join(flags))
