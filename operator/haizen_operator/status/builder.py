"""The status of an InferenceService: a pure function of the spec's facts, the live world and the decisions made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from haizen_operator.diagnosis.model import Diagnosis
from haizen_operator.ownership import is_going
from haizen_operator.reasons import Reason
from haizen_operator.rollout.knative import Condition, History, Manifest, Revision, Service, dig
from haizen_operator.rollout.memory import Memory
from haizen_operator.rollout.traffic import TrafficDecision, TrafficReason, same_targets
from haizen_operator.status.conditions import Conditions
from haizen_operator.status.model import model_status
from haizen_operator.status.problems import Problem, held_by

_CANARY_REASONS = {
    TrafficReason.NOTHING_TO_ROLL_BACK_TO: Reason.NOTHING_TO_ROLL_BACK_TO,
    TrafficReason.WAITING_FOR_REVISION: Reason.WAITING_FOR_REVISION,
    TrafficReason.WAITING_FOR_KNATIVE: Reason.WAITING_FOR_KNATIVE,
}
_LONGEST_MESSAGE = 1024


def build_status(
    *,
    generation: int,
    previous: Manifest | None,
    now: datetime,
    service: Manifest | None,
    revisions: Sequence[Manifest],
    memory: Memory,
    traffic: TrafficDecision | None,
    desired_template_hash: str | None,
    pods: Sequence[Manifest] = (),
    diagnosis: Diagnosis | None = None,
    failed_copies: int = 0,
    problems: Sequence[Problem] = (),
    deployment_mode: str = "Knative",
    serving_runtime: str | None = None,
    cluster_serving_runtime: str | None = None,
    stopped: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the whole status of an InferenceService.

    ``generation`` and ``previous`` (its status so far) are the InferenceService's; ``service``, ``revisions`` and
    ``pods`` are live, best as the API server answered to the last write. ``memory`` and ``traffic`` come from
    `plan_rollout`, ``desired_template_hash`` from the wanted Knative Service (None when a problem prevented one).
    ``diagnosis`` is about the newest revision; ``failed_copies`` counts its failing pods. ``stopped`` is
    serving.kserve.io/stop.
    ``extra`` is merged in at the top level (the planner's own records, such as the sticky runtime choice).
    """
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = Conditions(previous, time)
    status: dict[str, Any] = {**(extra or {}), "observedGeneration": generation, "deploymentMode": deployment_mode}
    if stopped:
        conditions.mark_stopped()
        if service is not None:
            metadata = service["metadata"]
            # Before the deletion, finalizers keep nothing yet.
            conditions.mark_stopping(held_by(metadata.get("finalizers") or []) if is_going(metadata) else "")
        return {**status, "conditions": conditions.build()}
    conditions.mark_not_stopped()
    if serving_runtime:
        status["servingRuntimeName"] = serving_runtime
    if cluster_serving_runtime:
        status["clusterServingRuntimeName"] = cluster_serving_runtime

    problem = next((p for p in problems if not p.advisory), None)
    live = Service.of(service) if service is not None else None
    view = _View(live, History(revisions), memory, traffic, desired_template_hash, diagnosis)
    _mark_predictor(conditions, view, problem)
    _mark_route(conditions, view, service)
    _mark_canary(conditions, traffic)
    status["modelStatus"] = model_status(
        previous=previous,
        pods=pods,
        target_revision=view.target.name if view.target else None,
        serving_revision=view.serving,
        target_ready=problem is None and view.target_ready,
        diagnosis=diagnosis,
        problem=problem,
        failed_copies=failed_copies,
        now=time,
    )
    if service is not None and live is not None:
        status |= _addresses(service)
        status["components"] = {"predictor": _component(service, live, memory)}
    return {**status, "conditions": conditions.build()}


class _View:
    """The live world beside what is wanted of it."""

    def __init__(
        self,
        live: Service | None,
        history: History,
        memory: Memory,
        traffic: TrafficDecision | None,
        desired_template_hash: str | None,
        diagnosis: Diagnosis | None,
    ) -> None:
        self.live, self.memory, self.diagnosis = live, memory, diagnosis
        applied = live is not None and live.template_hash == desired_template_hash
        newest = history.newest
        self.target: Revision | None = (
            newest if applied and newest is not None and newest.template_hash == desired_template_hash else None
        )
        self.template_observed = applied and live is not None and live.template_observed
        self.traffic_applied = (
            live is not None
            and traffic is not None
            and not traffic.hold
            and traffic.reason is not TrafficReason.WAITING_FOR_REVISION
            and same_targets(live.targets, traffic.targets)
        )
        self.observed = self.template_observed and self.traffic_applied and live is not None and live.observed

    @property
    def target_ready(self) -> bool:
        return self.template_observed and self.target is not None and self.target.ready

    @property
    def serving(self) -> str | None:
        """The revision that has most of the traffic, if any is ready."""
        if self.live is None or not self.live.latest_ready:
            return None
        shares = {str(t.get("revisionName")): self.live.share(str(t.get("revisionName"))) for t in self.live.traffic}
        return max(sorted(shares), key=lambda name: shares[name]) if shares else self.live.latest_ready

    def condition(self, kind: str) -> Condition:
        return self.live.conditions.get(kind, Condition(kind)) if self.live else Condition(kind)


def _mark_predictor(conditions: Conditions, view: _View, problem: Problem | None) -> None:
    if problem is not None:
        message = _short(problem.message + _who_serves(view))
        conditions.mark_configuration_not_ready(problem.reason, message)
        conditions.mark_predictor_not_ready(problem.reason, message)
        return
    configuration = view.condition("ConfigurationsReady")
    name = view.target.name if view.target else "the new revision"
    found = view.diagnosis if view.diagnosis is not None else None
    if view.target_ready and configuration.status != "False":
        conditions.mark_configuration_ready()
    elif found is not None and found.failing and view.template_observed:
        _fail(conditions, view, found.reason, f"{name} is not ready: {found.message}")
        return
    elif view.template_observed and configuration.status == "False":
        _fail(conditions, view, Reason.REVISION_FAILED, f"{name} is not ready: {configuration.message}")
        return
    else:
        waiting = found.message if found is not None and view.template_observed else "waiting for it to become ready"
        message = _short(f"{name} is being deployed: {waiting}" + _who_serves(view))
        conditions.mark_configuration_unknown(Reason.DEPLOYING, message)
        conditions.mark_predictor_unknown(Reason.DEPLOYING, message)
        return
    ready = view.condition("Ready")
    if view.observed and ready.status == "True":
        conditions.mark_predictor_ready()
    elif view.observed and ready.status == "False":
        conditions.mark_predictor_not_ready(Reason.ROUTE_NOT_READY, _short(ready.message))
    else:
        conditions.mark_predictor_unknown(Reason.RECONCILING, "Knative has not carried out the latest change yet")


def _fail(conditions: Conditions, view: _View, reason: Reason, message: str) -> None:
    message = _short(message + _who_serves(view))
    conditions.mark_configuration_not_ready(reason, message)
    conditions.mark_predictor_not_ready(reason, message)


def _who_serves(view: _View) -> str:
    """Say which revision answers meanwhile."""
    if view.live is None or not view.live.latest_ready:
        return ""
    names = sorted({str(t.get("revisionName")) for t in view.live.traffic if t.get("percent")})
    if not names:
        return ""
    if len(names) == 1:
        return f"; {names[0]} serves all traffic meanwhile"
    return f"; {' and '.join(f'{n} ({view.live.share(n)} %)' for n in names)} serve meanwhile"


def _mark_route(conditions: Conditions, view: _View, service: Manifest | None) -> None:
    routes = view.condition("RoutesReady")
    has_url = bool(dig(service, "status", "url"))
    if view.live is None:
        message = "there is no Knative Service yet"
    elif routes.status == "False":
        message = _short(routes.message or "Knative cannot program the route")
        conditions.mark_route_not_ready(Reason.ROUTE_NOT_READY, message)
        conditions.mark_ingress_not_ready(Reason.ROUTE_NOT_READY, message)
        return
    elif routes.status == "True" and view.live.observed and has_url:
        conditions.mark_route_ready()
        conditions.mark_ingress_ready()
        return
    else:
        message = _short(routes.message or "Knative is programming the route")
    conditions.mark_route_unknown(Reason.ROUTE_NOT_READY, message)
    conditions.mark_ingress_unknown(Reason.ROUTE_NOT_READY, message)


def _mark_canary(conditions: Conditions, traffic: TrafficDecision | None) -> None:
    reason = _CANARY_REASONS.get(traffic.reason) if traffic is not None and traffic.reason is not None else None
    if traffic is None or reason is None:
        return
    if reason is Reason.NOTHING_TO_ROLL_BACK_TO:
        conditions.mark_canary_traffic_not_ready(reason, _short(traffic.message))
    else:
        conditions.mark_canary_traffic_unknown(reason, _short(traffic.message))


def _addresses(service: Manifest) -> dict[str, Any]:
    url, address = dig(service, "status", "url"), dig(service, "status", "address", "url")
    found: dict[str, Any] = {}
    if url:
        found["url"] = url
    if address:
        found["address"] = {"url": address}
    return found


def _component(service: Manifest, live: Service, memory: Memory) -> dict[str, Any]:
    component = {
        "latestCreatedRevision": live.latest_created,
        "latestReadyRevision": live.latest_ready,
        "latestRolledoutRevision": memory.latest_rolledout,
        "previousRolledoutRevision": memory.previous_rolledout,
        "traffic": [dict(t) for t in live.traffic],
        **_addresses(service),
    }
    return {key: value for key, value in component.items() if value}


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
