"""Which service a request is for: by Host, by path, or because there is only one. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

LOCAL_SUFFIXES = ("localhost", "example.com", "svc", "svc.cluster.local")
"""Domains under which the gateway answers for services only: an unknown name there is a mistake, not a plain path."""

PATH_PREFIX = "/serving"
"""Path routes: ``/serving/<namespace>/<name>/...``, as in KServe's documented ``pathTemplate``."""

_MODEL_PATH = re.compile(r"/v[12]/models/([^/:]+)")
_TAG = re.compile(r"(latest|prev)-(.+)")


@dataclass(frozen=True, order=True)
class ServiceKey:
    """The identity of an InferenceService: its namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Match:
    """A request's service, the traffic tag in its Host if there is one, and the path to pass on."""

    service: ServiceKey
    path: str
    tag: str | None = None


@dataclass(frozen=True)
class RouteTable:
    """The services that the gateway answers for."""

    services: frozenset[ServiceKey] = field(default_factory=frozenset)

    @classmethod
    def of(cls, services: Iterable[ServiceKey]) -> "RouteTable":
        """Make a table of these services."""
        return cls(frozenset(services))

    def resolve(self, host: str, path: str) -> Match | None:
        """Find the service a request is for; None when no service, or more than one, is meant.

        The order is: Host (``<name>.<namespace>.<domain>`` and ``<name>-predictor.<namespace>.<domain>``, with
        Knative's ``latest-`` or ``prev-`` in front for a tag), path (``/serving/<namespace>/<name>/...``), the only
        service there is, and the model's name in ``/v1/models/<name>`` or ``/v2/models/<name>`` when it is unique.
        """
        by_host = self._by_host(host)
        if by_host is not None:
            service, tag = by_host
            return Match(service, path, tag)
        if _is_service_host(host):
            return None
        if path.startswith(f"{PATH_PREFIX}/"):
            _, _, namespace, name, *rest = [*path.split("/", 4), ""]
            if (service := ServiceKey(namespace, name)) in self.services:
                return Match(service, "/" + rest[0])
        if len(self.services) == 1:
            return Match(next(iter(self.services)), path)
        if found := _MODEL_PATH.match(path):
            named = [service for service in self.services if service.name == found[1]]
            if len(named) == 1:
                return Match(named[0], path)
        return None

    def _by_host(self, host: str) -> tuple[ServiceKey, str | None] | None:
        labels = _labels(host)
        if len(labels) < 2:
            return None
        first, namespace = labels[0], labels[1]
        for name, tag in _readings(first):
            if (service := ServiceKey(namespace, name)) in self.services:
                return service, tag
        return None


def _readings(label: str) -> list[tuple[str, str | None]]:
    """Return the service names and tags that the first label of a host may mean, the plainest first."""
    plain: list[tuple[str, str | None]] = [(label, None), (label.removesuffix("-predictor"), None)]
    if tagged := _TAG.fullmatch(label):
        plain += [(tagged[2].removesuffix("-predictor"), tagged[1])]
    return plain


def _labels(host: str) -> list[str]:
    name = host.lower().rstrip(".")
    if name.startswith("["):  # an IPv6 address
        return []
    return name.partition(":")[0].split(".")


def _is_service_host(host: str) -> bool:
    domain = ".".join(_labels(host)[2:])
    return domain in LOCAL_SUFFIXES


@dataclass(frozen=True)
class Share:
    """A revision's share of a service's traffic."""

    revision: str
    percent: int


def choose(shares: Sequence[Share], draw: float) -> str | None:
    """Return the revision that gets a request; ``draw`` is uniform in [0, 1). None when nobody has traffic."""
    total = sum(share.percent for share in shares)
    point = draw * total
    for share in shares:
        if point < share.percent:
            return share.revision
        point -= share.percent
    return None
