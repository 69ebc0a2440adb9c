"""The status of an InferenceService, in KServe's words, with the root cause in it. Pure.

`build_status` makes the whole status from the live world; `Conditions` are set by verbs only; `Problem` describes what
stands in the way of a spec; `events_for` says what a change of status is worth telling.
"""

from haizen_operator.reasons import Reason
from haizen_operator.status.builder import build_status
from haizen_operator.status.conditions import Conditions
from haizen_operator.status.events import Event, events_for, events_of, service_lost_event
from haizen_operator.status.problems import (
    Problem,
    apply_rejected,
    invalid_spec,
    knative_feature_missing,
    knative_not_installed,
    not_owned,
    not_supported_yet,
    selection_failed,
    storage_uri_not_supported,
    waiting_for_deletion,
)

__all__ = [
    "Conditions",
    "Event",
    "Problem",
    "Reason",
    "apply_rejected",
    "build_status",
    "events_for",
    "events_of",
    "invalid_spec",
    "knative_feature_missing",
    "knative_not_installed",
    "not_owned",
    "not_supported_yet",
    "selection_failed",
    "service_lost_event",
    "storage_uri_not_supported",
    "waiting_for_deletion",
]
