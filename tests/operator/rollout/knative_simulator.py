"""A small Knative: Service, Configuration, Route and Revisions, each moved one controller step at a time.

The rules are those of knative/serving's reconcilers: every object has its own generation and observedGeneration; the
Configuration makes a Revision for each generation it gets to see; latestReady moves forward only, to the newest ready
Revision since the last; the Route changes nothing unless every target resolves; the Service copies a child's status
only when the child has observed its own spec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NAME = "digits-predictor"


@dataclass
class SimulatedRevision:
    name: str
    order: int
    template_hash: str
    ready: str = "Unknown"
    was_ready: bool = False

    def manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Revision",
            "metadata": {
                "name": self.name,
                "labels": {"serving.knative.dev/configurationGeneration": str(self.order)},
                "annotations": {"haizen.dev/template-hash": self.template_hash},
            },
            "status": {"conditions": [{"type": "Ready", "status": self.ready}]},
        }


@dataclass
class Child:
    """A Configuration or a Route: a spec, its generation, and the generation that was observed."""

    spec: Any = None
    generation: int = 0
    observed: int = 0

    def update(self, spec: Any) -> None:
        if spec != self.spec:
            self.spec, self.generation = spec, self.generation + 1


@dataclass
class Knative:
    template_hash: str
    targets: list[dict[str, Any]]
    annotations: dict[str, str]
    generation: int = 1
    observed: int = 0
    configuration: Child = field(default_factory=Child)
    route: Child = field(default_factory=Child)
    revisions: dict[str, SimulatedRevision] = field(default_factory=dict)
    latest_created: str = ""
    latest_ready: str = ""
    routed: list[dict[str, Any]] = field(default_factory=list)
    route_ready: bool = False
    status: dict[str, Any] = field(default_factory=dict)

    # --- the API: what the operator and the users do ---

    def apply(self, template_hash: str, targets: list[dict[str, Any]], annotations: dict[str, str]) -> None:
        if (template_hash, targets) != (self.template_hash, self.targets):
            self.generation += 1
        self.template_hash, self.targets, self.annotations = template_hash, [dict(t) for t in targets], annotations

    def manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {"name": NAME, "generation": self.generation, "annotations": dict(self.annotations)},
            "spec": {
                "template": {"metadata": {"annotations": {"haizen.dev/template-hash": self.template_hash}}},
                "traffic": [dict(t) for t in self.targets],
            },
            "status": self.status,
        }

    def revision_manifests(self) -> list[dict[str, Any]]:
        return [r.manifest() for r in reversed(self.revisions.values())]  # no order is promised

    # --- the controllers, one step each ---

    def service_step(self) -> None:
        self.configuration.update(self.template_hash)
        self.route.update([dict(t) for t in self.targets])
        self.observed = self.generation
        old = {c["type"]: c for c in self.status.get("conditions", [])}
        conditions = {
            "ConfigurationsReady": self._configuration_condition(),
            "RoutesReady": self._route_condition(),
        }
        status = dict(self.status)
        if conditions["ConfigurationsReady"].get("reason") != "OutOfDate":
            status["latestCreatedRevisionName"] = self.latest_created
            status["latestReadyRevisionName"] = self.latest_ready
        if conditions["RoutesReady"].get("reason") != "OutOfDate":
            status["traffic"] = [dict(t) for t in self.routed]
        if not old and not self.latest_created:
            status.pop("latestCreatedRevisionName", None)
        states = {c["status"] for c in conditions.values()}
        ready = "False" if "False" in states else "Unknown" if "Unknown" in states else "True"
        status["observedGeneration"] = self.observed
        status["conditions"] = [{"type": kind, **c} for kind, c in conditions.items()]
        status["conditions"].append({"type": "Ready", "status": ready})
        self.status = status

    def _configuration_condition(self) -> dict[str, str]:
        if self.configuration.observed != self.configuration.generation:
            return {"status": "Unknown", "reason": "OutOfDate"}
        newest = self.revisions.get(self.latest_created)
        return {"status": newest.ready if newest else "Unknown"}

    def _route_condition(self) -> dict[str, str]:
        if self.route.observed != self.route.generation:
            return {"status": "Unknown", "reason": "OutOfDate"}
        return {"status": "True" if self.route_ready else "False"}

    def configuration_step(self) -> None:
        if self.configuration.generation == 0:
            return
        order = self.configuration.generation
        name = f"{NAME}-{order:05d}"
        if name not in self.revisions:
            self.revisions[name] = SimulatedRevision(name, order, self.configuration.spec)
        self.latest_created = name
        self.configuration.observed = order
        since = self.revisions[self.latest_ready].order if self.latest_ready in self.revisions else 0
        ready = [r for r in self.revisions.values() if r.order >= since and r.ready == "True"]
        if ready:
            self.latest_ready = max(ready, key=lambda r: r.order).name

    def route_step(self) -> None:
        if self.route.generation == 0:
            return
        self.route.observed = self.route.generation
        resolved = []
        for target in self.route.spec:
            name = target.get("revisionName") or self.latest_ready
            revision = self.revisions.get(name)
            if revision is None or revision.ready != "True":
                self.route_ready = False
                return
            resolved.append({**target, "revisionName": name, "latestRevision": not target.get("revisionName")})
        self.routed, self.route_ready = resolved, True

    def settle(self) -> None:
        for _ in range(3):
            self.service_step()
            self.configuration_step()
            self.route_step()
            self.service_step()

    # --- the world ---

    def newest(self) -> SimulatedRevision | None:
        return max(self.revisions.values(), key=lambda r: r.order, default=None)

    def become(self, name: str, ready: bool) -> None:
        revision = self.revisions[name]
        revision.ready = "True" if ready else "False"
        revision.was_ready |= ready

    def collectable(self) -> list[str]:
        """Knative collects what neither the route nor the configuration needs."""
        used = {self.latest_ready, self.latest_created, *(t.get("revisionName") for t in self.routed)}
        used |= {t.get("revisionName") for t in self.targets} | {t.get("revisionName") for t in self.route.spec or []}
        return sorted(name for name in self.revisions if name not in used)

    def shares(self) -> dict[str, int]:
        """What users get, by revision."""
        found: dict[str, int] = {}
        for target in self.routed:
            if target["percent"]:
                found[target["revisionName"]] = found.get(target["revisionName"], 0) + target["percent"]
        return found


class Operator:
    """The shell around the pure functions: observe, decide, apply, report; it may die between the last two."""

    def __init__(self) -> None:
        self.template = "A"
        self.percent: int | None = None
        self.status: dict[str, Any] = {}
        self.service: Knative | None = None
        self.writes = 0

    def plan(self) -> Any:
        from haizen_operator.rollout import plan_rollout

        return plan_rollout(
            self.status,
            self.service.manifest() if self.service else None,
            self.service.revision_manifests() if self.service else [],
            desired_template_hash=self.template,
            canary_percent=self.percent,
        )

    def run(self, *, dies_before_apply: bool = False, dies_before_status: bool = False) -> Any:
        """One reconcile; returns what was decided."""
        outcome = self.plan()
        if dies_before_apply:
            return outcome
        traffic = outcome.traffic
        if not traffic.hold:
            if self.service is None:
                self.service = Knative(self.template, [dict(t) for t in traffic.targets], traffic.annotations)
                self.writes += 1
            else:
                wanted = (self.template, traffic.targets, traffic.annotations)
                if wanted != (self.service.template_hash, self.service.targets, self.service.annotations):
                    self.service.apply(*wanted)
                    self.writes += 1
        if not dies_before_status:
            self.status = {
                "components": {
                    "predictor": {
                        "latestRolledoutRevision": outcome.memory.latest_rolledout,
                        "previousRolledoutRevision": outcome.memory.previous_rolledout,
                    }
                }
            }
        return outcome

    def settle(self) -> None:
        """Let everybody work until nothing moves; fails when it does not come to rest."""
        for _ in range(12):
            before = self.world()
            self.run()
            assert self.service is not None
            self.service.settle()
            if self.world() == before:
                return
        raise AssertionError(f"never came to rest: {self.world()}")

    def world(self) -> str:
        return repr((self.status, self.service))
