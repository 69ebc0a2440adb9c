"""What the cluster's Knative must allow for a pod to run, and which of it is switched off.

KServe slips its init container and volumes past Knative's checks through a pod webhook; without one, stock Knative
refuses several fields until a flag in ConfigMap config-features allows them. Naming the flag spares a long search.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from haizen_operator.config import KnativeSettings
from haizen_operator.names import (
    KNATIVE_AUTOSCALER_CONFIG_MAP,
    KNATIVE_DEFAULTS_CONFIG_MAP,
    KNATIVE_FEATURES_CONFIG_MAP,
)
from haizen_operator.resources.autoscaling import dropped_initial_scale

Pod = Mapping[str, Any]

_PREFIX = "kubernetes.podspec-"
#: Flags that are on unless config-features says otherwise.
_ON_BY_DEFAULT = frozenset({"multi-container", "kubernetes.podspec-volumes-emptydir"})
#: Flags that must say "enabled" outright; "allowed" does not do for them.
_ENABLED_ONLY = ("multi-container", f"{_PREFIX}volumes-", f"{_PREFIX}persistent-volume-", f"{_PREFIX}init-containers")
#: Fields of the pod, and the end of the flag that allows each.
_POD_FIELDS = {
    "affinity": "affinity",
    "dnsConfig": "dnsconfig",
    "dnsPolicy": "dnspolicy",
    "hostAliases": "hostaliases",
    "hostIPC": "hostipc",
    "hostNetwork": "hostnetwork",
    "hostPID": "hostpid",
    "initContainers": "init-containers",
    "nodeSelector": "nodeselector",
    "priorityClassName": "priorityclassname",
    "runtimeClassName": "runtimeclassname",
    "schedulerName": "schedulername",
    "securityContext": "securitycontext",
    "shareProcessNamespace": "shareprocessnamespace",
    "tolerations": "tolerations",
    "topologySpreadConstraints": "topologyspreadconstraints",
}
_VOLUME_SOURCES = {
    "csi": "volumes-csi",
    "emptyDir": "volumes-emptydir",
    "hostPath": "volumes-hostpath",
    "image": "volumes-image",
    "persistentVolumeClaim": "persistent-volume-claim",
}
_ALLOWED_POD_FIELDS = frozenset({
    *_POD_FIELDS, "containers", "volumes", "serviceAccountName", "imagePullSecrets", "enableServiceLinks",
    "automountServiceAccountToken", "containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds",
    "idleTimeoutSeconds",
})  # fmt: skip
_REFUSED_CONTAINER_FIELDS = ("lifecycle", "stdin", "stdinOnce", "tty", "volumeDevices")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


@dataclass(frozen=True, slots=True)
class KnativeProblem:
    """A setting of Knative that stands in the way, worded for a condition."""

    config_map: str
    setting: str
    message: str


def missing_features(pod: Pod, features: Mapping[str, str] | None) -> list[KnativeProblem]:
    """Flags of config-features that the pod needs and that are off, each once, with the field that needs it.

    ``features`` is the ConfigMap's data; none (it could not be read) reports nothing.
    """
    if features is None:
        return []
    needed: dict[str, str] = {}
    for flag, field in _needs(pod):
        needed.setdefault(flag, field)
    return [
        KnativeProblem(
            KNATIVE_FEATURES_CONFIG_MAP,
            flag,
            f'{field} needs {flag}: "enabled" in ConfigMap {KNATIVE_FEATURES_CONFIG_MAP} of namespace knative-serving',
        )
        for flag, field in sorted(needed.items())
        if not _is_on(flag, features)
    ]


def refused_fields(pod: Pod) -> list[str]:
    """Fields that Knative never allows, whatever its flags say."""
    refused = sorted(set(pod) - _ALLOWED_POD_FIELDS)
    for container in [*pod.get("containers", []), *(pod.get("initContainers") or [])]:
        refused += [f"{container.get('name')}.{field}" for field in _REFUSED_CONTAINER_FIELDS if container.get(field)]
    return refused


def knative_problems(
    service: Mapping[str, Any], annotations: Mapping[str, str], settings: KnativeSettings
) -> list[KnativeProblem]:
    """Everything in Knative's configuration that stands in the way of a Knative Service.

    ``annotations`` are the InferenceService's, for an ``initial-scale`` that was left out of the service.
    """
    pod = service["spec"]["template"]["spec"]
    problems = missing_features(pod, settings.features)
    timeout = pod.get("timeoutSeconds")
    if timeout is not None and timeout > settings.max_revision_timeout_seconds:
        problems.append(
            KnativeProblem(
                KNATIVE_DEFAULTS_CONFIG_MAP,
                "max-revision-timeout-seconds",
                f"timeout is {timeout} seconds, above max-revision-timeout-seconds "
                f"({settings.max_revision_timeout_seconds}) in ConfigMap {KNATIVE_DEFAULTS_CONFIG_MAP}",
            )
        )
    dropped = dropped_initial_scale(annotations, allow_zero_initial_scale=settings.allow_zero_initial_scale)
    if dropped is not None:
        problems.append(KnativeProblem(KNATIVE_AUTOSCALER_CONFIG_MAP, "allow-zero-initial-scale", dropped))
    return problems


def _needs(pod: Pod) -> Iterator[tuple[str, str]]:
    """The flags a pod needs, with the field that needs each."""
    for field, suffix in _POD_FIELDS.items():
        if pod.get(field) not in (None, False, "", [], {}):
            yield _PREFIX + suffix, _first(pod, field)
    for volume in pod.get("volumes") or []:
        yield from _volume_needs(volume)
    containers = pod.get("containers") or []
    if len(containers) > 1:
        yield "multi-container", "a second container"
        if any(container.get(probe) for container in containers if not container.get("ports") for probe in _PROBES):
            yield "multi-container-probing", "a probe of a container without ports"
    for container in [*containers, *(pod.get("initContainers") or [])]:
        yield from _container_needs(container)


def _volume_needs(volume: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for source, suffix in _VOLUME_SOURCES.items():
        if source in volume:
            yield _PREFIX + suffix, f"volume {volume.get('name')} ({source})"
    claim = volume.get("persistentVolumeClaim")
    if claim is not None and not claim.get("readOnly"):
        yield f"{_PREFIX}persistent-volume-write", f"volume {volume.get('name')} (a claim that is not readOnly)"


def _container_needs(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    name = container.get("name")
    capabilities = (container.get("securityContext") or {}).get("capabilities") or {}
    # NET_BIND_SERVICE may always be added.
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield "kubernetes.containerspec-addcapabilities", f"container {name}: securityContext.capabilities.add"
    for variable in container.get("env") or []:
        source = variable.get("valueFrom") or {}
        if "fieldRef" in source or "resourceFieldRef" in source:
            yield f"{_PREFIX}fieldref", f"container {name}: env {variable.get('name')}"
    if any(mount.get("mountPropagation") for mount in container.get("volumeMounts") or []):
        yield f"{_PREFIX}volumes-mount-propagation", f"container {name}: volumeMounts.mountPropagation"


def _first(pod: Pod, field: str) -> str:
    describe: Mapping[str, Callable[[Any], str]] = {
        "initContainers": lambda value: f"init container {value[0].get('name')}",
        "nodeSelector": lambda value: f"nodeSelector {sorted(value)[0]}",
    }
    return describe[field](pod[field]) if field in describe else field


def _is_on(flag: str, features: Mapping[str, str]) -> bool:
    value = features.get(flag, "enabled" if flag in _ON_BY_DEFAULT else "disabled").lower()
    if flag == f"{_PREFIX}securitycontext" and value == "disabled":
        return features.get("secure-pod-defaults", "disabled").lower() != "disabled"
    return value == "enabled" or (value == "allowed" and not flag.startswith(_ENABLED_ONLY))
