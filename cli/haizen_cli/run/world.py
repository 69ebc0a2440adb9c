"""A stand-in for Knative's controllers for one service, so that the operator's own rollout decides here, too. Pure.

Knative makes a Revision of every new template, and routes ``latestRevision`` to the newest Revision that is ready.
That is all the operator's rollout needs to know of it (`haizen_operator.rollout`).
"""

import copy
from collections.abc import Mapping
from typing import Any

from haizen_cli.run.routing import Share
from haizen_operator import names
from haizen_operator.rollout import Memory, TrafficDecision, plan_rollout, same_targets
from haizen_operator.rollout.knative import GENERATION_LABEL

Manifest = dict[str, Any]

MAX_PASSES = 10
"""Passes until nothing changes; three are the most that a rollback takes."""


class KnativeWorld:
    """One Knative Service with its Revisions, and what the InferenceService's status remembers of them."""

    def __init__(self) -> None:
        self.service: Manifest | None = None
        self.memory = Memory()
        self.decision: TrafficDecision | None = None
        self._revisions: dict[str, Manifest] = {}
        self._generation = 0
        self._template_generation = 0

    @property
    def revisions(self) -> list[str]:
        """The names of the revisions that exist, oldest first."""
        return list(self._revisions)

    @property
    def latest_created(self) -> str | None:
        """The newest revision."""
        return self.revisions[-1] if self._revisions else None

    @property
    def latest_ready(self) -> str | None:
        """The newest revision that was ready."""
        ready = [name for name in self._revisions if self.is_ready(name)]
        return ready[-1] if ready else None

    def template(self, revision: str) -> Manifest:
        """Return the template (metadata and spec) that a revision was made from."""
        template: Manifest = self._revisions[revision]["spec"]
        return template

    def is_ready(self, revision: str) -> bool:
        """Whether a revision was ready once."""
        conditions = self._revisions[revision]["status"]["conditions"]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def mark(self, revision: str, *, ready: bool, reason: str = "", message: str = "") -> None:
        """Set a revision's Ready condition; a revision that was ready once stays so."""
        if revision in self._revisions and (ready or not self.is_ready(revision)):
            condition = {"type": "Ready", "status": "True" if ready else "False", "reason": reason, "message": message}
            self._revisions[revision]["status"]["conditions"] = [condition]

    def forget(self, revision: str) -> None:
        """Remove a revision that nothing names any more (Knative's garbage collection)."""
        self._revisions.pop(revision, None)

    def roll_out(self, desired: Manifest, canary_percent: int | None) -> None:
        """Do what the operator would: decide the traffic, apply the service, look again until nothing changes.

        Args:
            desired: The Knative Service that the operator would apply, without traffic.
            canary_percent: ``canaryTrafficPercent`` of the InferenceService.
        """
        template_hash = desired["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_TEMPLATE_HASH]
        annotations = desired["metadata"].get("annotations") or {}
        for _ in range(MAX_PASSES):
            before = copy.deepcopy((self.service, self.memory))
            rollout = plan_rollout(
                self._status(),
                self.service,
                list(self._revisions.values()),
                desired_template_hash=template_hash,
                canary_percent=canary_percent,
                tag_routing=annotations.get(names.ANNOTATION_TAG_ROUTING) == "true",
            )
            self.memory, self.decision = rollout.memory, rollout.traffic
            if not rollout.traffic.hold:
                self._apply(rollout.traffic.applied_to(desired))
            self._observe()
            if (self.service, self.memory) == before:
                return

    def shares(self) -> list[Share]:
        """Return which revision gets which percent, as Knative's route would."""
        totals: dict[str, int] = {}
        for target in self._traffic():
            totals[target["revisionName"]] = totals.get(target["revisionName"], 0) + target["percent"]
        return [Share(name, percent) for name, percent in totals.items()]

    def tags(self) -> dict[str, str]:
        """Return the revisions behind Knative's traffic tags."""
        return {target["tag"]: target["revisionName"] for target in self._traffic() if target.get("tag")}

    def wanted(self) -> set[str]:
        """Return the revisions that should have a process: those the traffic names, and the newest one."""
        named = {target["revisionName"] for target in self._traffic()}
        return named | ({self.latest_created} if self.latest_created else set())

    def collectable(self) -> list[str]:
        """Return the revisions that neither the traffic nor the memory names."""
        kept = self.wanted() | {self.memory.latest_rolledout, self.memory.previous_rolledout, self.latest_ready}
        return [name for name in self._revisions if name not in kept]

    def _traffic(self) -> list[Manifest]:
        traffic: list[Manifest] = ((self.service or {}).get("status") or {}).get("traffic") or []
        return traffic

    def _status(self) -> Manifest:
        predictor = {
            "latestRolledoutRevision": self.memory.latest_rolledout,
            "previousRolledoutRevision": self.memory.previous_rolledout,
        }
        return {"components": {"predictor": {key: value for key, value in predictor.items() if value}}}

    def _apply(self, service: Manifest) -> None:
        live_spec: Mapping[str, Any] = (self.service or {}).get("spec") or {}
        new_template = live_spec.get("template") != service["spec"]["template"]
        if (
            self.service is not None
            and not new_template
            and same_targets(live_spec.get("traffic") or [], service["spec"]["traffic"])
        ):
            return
        self._generation += 1
        self.service = copy.deepcopy(service)
        self.service["metadata"]["generation"] = self._generation
        if new_template:
            self._make_revision(service)

    def _make_revision(self, service: Manifest) -> None:
        template = copy.deepcopy(service["spec"]["template"])
        self._template_generation += 1
        name = f"{service['metadata']['name']}-{self._template_generation:05d}"
        self._revisions[name] = {
            "metadata": {
                "name": name,
                "labels": {
                    **(template["metadata"].get("labels") or {}),
                    GENERATION_LABEL: str(self._template_generation),
                },
                "annotations": dict(template["metadata"].get("annotations") or {}),
            },
            "spec": template,
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
        }

    def _observe(self) -> None:
        """Write the status that Knative would."""
        if self.service is None:
            return
        latest = self.latest_ready
        traffic = []
        for target in self.service["spec"]["traffic"]:
            revision = target.get("revisionName") or latest
            if revision in self._revisions:
                traffic.append({**target, "revisionName": revision})
        self.service["status"] = {
            "observedGeneration": self._generation,
            "latestCreatedRevisionName": self.latest_created or "",
            "latestReadyRevisionName": latest or "",
            "traffic": traffic,
        }
