"""The conditions of an InferenceService, set by verbs.

The types are KServe's. Ready is not set but follows from PredictorReady and IngressReady, as in KServe (Knative's
"living" condition set); the others are informational and carry severity Info. ``lastTransitionTime`` changes only when
the status does, so the same world gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haizen_operator.reasons import Reason
from haizen_operator.rollout.knative import Manifest, dig, mappings, text

READY = "Ready"
PREDICTOR_READY = "PredictorReady"
PREDICTOR_ROUTE_READY = "PredictorRouteReady"
PREDICTOR_CONFIGURATION_READY = "PredictorConfigurationReady"
INGRESS_READY = "IngressReady"
ROUTES_READY = "RoutesReady"
LATEST_DEPLOYMENT_READY = "LatestDeploymentReady"
STOPPED = "Stopped"
CANARY_TRAFFIC_READY = "CanaryTrafficReady"  # ours: present while the traffic is not what the percent says

_TERMINAL = (PREDICTOR_READY, INGRESS_READY)

_Mark = tuple[str, str, str]  # status, reason, message


class Conditions:
    """A set of conditions under construction. Verbs name a condition and what is so; the last word on each counts."""

    def __init__(self, previous: Manifest | None, now: str) -> None:
        """``previous`` is the status before, for the transition times; ``now`` is an RFC 3339 time."""
        self._before = {text(c.get("type")): c for c in mappings(dig(previous, "conditions"))}
        self._now = now
        self._marks: dict[str, _Mark] = {}

    def mark_predictor_ready(self) -> None:
        """The predictor's Knative Service is Ready, as applied."""
        self._set(PREDICTOR_READY, "True")

    def mark_predictor_not_ready(self, reason: Reason, message: str) -> None:
        """The predictor cannot serve the wanted spec."""
        self._set(PREDICTOR_READY, "False", reason, message)

    def mark_predictor_unknown(self, reason: Reason, message: str) -> None:
        """The predictor is on its way."""
        self._set(PREDICTOR_READY, "Unknown", reason, message)

    def mark_configuration_ready(self) -> None:
        """The newest revision is Ready."""
        self._both(PREDICTOR_CONFIGURATION_READY, LATEST_DEPLOYMENT_READY, "True")

    def mark_configuration_not_ready(self, reason: Reason, message: str) -> None:
        """The newest revision failed."""
        self._both(PREDICTOR_CONFIGURATION_READY, LATEST_DEPLOYMENT_READY, "False", reason, message)

    def mark_configuration_unknown(self, reason: Reason, message: str) -> None:
        """The newest revision is starting."""
        self._both(PREDICTOR_CONFIGURATION_READY, LATEST_DEPLOYMENT_READY, "Unknown", reason, message)

    def mark_route_ready(self) -> None:
        """The route does what was asked."""
        self._both(PREDICTOR_ROUTE_READY, ROUTES_READY, "True")

    def mark_route_not_ready(self, reason: Reason, message: str) -> None:
        """The route cannot do what was asked."""
        self._both(PREDICTOR_ROUTE_READY, ROUTES_READY, "False", reason, message)

    def mark_route_unknown(self, reason: Reason, message: str) -> None:
        """The route is being programmed."""
        self._both(PREDICTOR_ROUTE_READY, ROUTES_READY, "Unknown", reason, message)

    def mark_ingress_ready(self) -> None:
        """The URL answers."""
        self._set(INGRESS_READY, "True")

    def mark_ingress_not_ready(self, reason: Reason, message: str) -> None:
        """The URL does not answer and will not by itself."""
        self._set(INGRESS_READY, "False", reason, message)

    def mark_ingress_unknown(self, reason: Reason, message: str) -> None:
        """The URL is not there yet."""
        self._set(INGRESS_READY, "Unknown", reason, message)

    def mark_stopped(self) -> None:
        """The user stopped the service (serving.kserve.io/stop) and nothing of it runs: KServe's Stopped conditions."""
        message = "the InferenceService is stopped by the annotation serving.kserve.io/stop"
        self._set(STOPPED, "True", Reason.STOPPED, message)
        self._set(PREDICTOR_READY, "False", Reason.STOPPED, message)
        self._set(INGRESS_READY, "False", Reason.STOPPED, message)
        self._both(PREDICTOR_CONFIGURATION_READY, LATEST_DEPLOYMENT_READY, "False", Reason.STOPPED, message)
        self._both(PREDICTOR_ROUTE_READY, ROUTES_READY, "False", Reason.STOPPED, message)

    def mark_stopping(self, held: str = "") -> None:
        """The user stopped the service, and its Knative Service is still there; `held` says what keeps it."""
        self._set(STOPPED, "False", Reason.STOPPING, f"the Knative Service is being deleted{held}")

    def mark_not_stopped(self) -> None:
        """The service is meant to run."""
        self._set(STOPPED, "False")

    def mark_canary_traffic_not_ready(self, reason: Reason, message: str) -> None:
        """The wanted split cannot be made."""
        self._set(CANARY_TRAFFIC_READY, "False", reason, message)

    def mark_canary_traffic_unknown(self, reason: Reason, message: str) -> None:
        """The wanted split waits for something."""
        self._set(CANARY_TRAFFIC_READY, "Unknown", reason, message)

    def build(self) -> list[dict[str, Any]]:
        """Return the conditions sorted by type, Ready included."""
        marks = {**self._marks, READY: self._ready()}
        return [self._condition(kind, marks[kind]) for kind in sorted(marks)]

    def _ready(self) -> _Mark:
        marks = [self._marks.get(kind, ("Unknown", "", "")) for kind in _TERMINAL]
        for status in ("False", "Unknown"):
            for mark in marks:
                if mark[0] == status:
                    return mark
        return ("True", "", "")

    def _condition(self, kind: str, mark: _Mark) -> dict[str, Any]:
        status, reason, message = mark
        before: Mapping[str, Any] = self._before.get(kind, {})
        same = before.get("status") == status and before.get("lastTransitionTime")
        condition: dict[str, Any] = {"type": kind, "status": status}
        if kind not in (READY, *_TERMINAL):
            condition["severity"] = "Info"
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        condition["lastTransitionTime"] = before["lastTransitionTime"] if same else self._now
        return condition

    def _set(self, kind: str, status: str, reason: Reason | None = None, message: str = "") -> None:
        self._marks[kind] = (status, str(reason) if reason else "", message)

    def _both(self, one: str, other: str, status: str, reason: Reason | None = None, message: str = "") -> None:
        self._set(one, status, reason, message)
        self._set(other, status, reason, message)
