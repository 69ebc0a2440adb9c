"""What stands between a spec and its service: problems are data, found by the planner, shown by the status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from haizen_operator.reasons import Reason

_MODEL_FAILURES = {
    Reason.RUNTIME_NOT_RECOGNIZED: "RuntimeNotRecognized",
    Reason.RUNTIME_DISABLED: "RuntimeDisabled",
    Reason.NO_SUPPORTING_RUNTIME: "NoSupportingRuntime",
    Reason.INVALID_PREDICTOR_SPEC: "InvalidPredictorSpec",
    Reason.INVALID_SPEC: "InvalidPredictorSpec",
    Reason.STORAGE_URI_NOT_SUPPORTED: "InvalidPredictorSpec",
    Reason.NOT_SUPPORTED_YET: "InvalidPredictorSpec",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. It makes PredictorReady and Ready False, unless it is only ``advisory`` (then it is an Event)."""

    reason: Reason
    message: str
    advisory: bool = False

    @property
    def model_failure(self) -> str | None:
        """KServe's word for modelStatus.lastFailureInfo.reason when the spec itself is at fault, else None."""
        return _MODEL_FAILURES.get(self.reason)


def not_supported_yet(field: str, instead: str = "") -> Problem:
    """Something KServe accepts and haizen does not build yet."""
    return Problem(Reason.NOT_SUPPORTED_YET, _join(f"{field} is not supported by haizen yet", instead))


def invalid_spec(field: str, message: str) -> Problem:
    """A value inside a pass-through part, which the CRD's schema cannot refuse."""
    return Problem(Reason.INVALID_SPEC, f"{field}: {message}")


def not_owned(kind: str, name: str, owner: str | None) -> Problem:
    """An object of the name we need belongs to somebody else; it is left alone."""
    whose = f"is controlled by {owner}" if owner else "was not made by haizen"
    return Problem(
        Reason.NOT_OWNED,
        f"{kind} {name} {whose} and is left alone; rename this InferenceService or remove the {kind}",
    )


def waiting_for_deletion(name: str, finalizers: Sequence[str]) -> Problem:
    """The Knative Service of the name we need is being deleted, and does not go."""
    return Problem(
        Reason.WAITING_FOR_DELETION,
        f"Knative Service {name} is being deleted and is made anew when it is gone{held_by(finalizers)}",
    )


def held_by(finalizers: Sequence[str]) -> str:
    """Say what keeps an object that is being deleted; empty when nothing does."""
    return f"; it waits for {', '.join(finalizers)} to be taken off its finalizers" if finalizers else ""


def knative_feature_missing(flags: Sequence[str], needed_for: str = "") -> Problem:
    """Flags of the ConfigMap knative-serving/config-features that the pod template needs and that are off."""
    names = ", ".join(sorted(set(flags)))
    what = f"{needed_for} needs" if needed_for else "the pod needs"
    return Problem(
        Reason.KNATIVE_FEATURE_MISSING,
        f"{what} Knative features that are not enabled: {names}; "
        "set each to enabled in the ConfigMap config-features of the namespace knative-serving",
    )


def knative_not_installed() -> Problem:
    """The cluster does not know Knative's Service kind."""
    return Problem(
        Reason.KNATIVE_NOT_INSTALLED,
        "Knative Serving is not installed: the kind Service of serving.knative.dev/v1 is unknown to the cluster",
    )


def storage_uri_not_supported(uri: str, supported: Sequence[str]) -> Problem:
    """A storage scheme that nothing here can download."""
    return Problem(
        Reason.STORAGE_URI_NOT_SUPPORTED,
        f"storageUri, must be one of: [{', '.join(supported)}]. StorageUri [{uri}] is not supported",
    )


def selection_failed(reason: str, message: str) -> Problem:
    """A runtime could not be chosen; ``reason`` is KServe's word for it."""
    known = reason in {"RuntimeNotRecognized", "RuntimeDisabled", "NoSupportingRuntime", "InvalidPredictorSpec"}
    return Problem(Reason(reason) if known else Reason.NO_SUPPORTING_RUNTIME, message)


def apply_rejected(kind: str, name: str, text: str) -> Problem:
    """The API server, or a webhook of Knative, refused an object; ``text`` is its own."""
    return Problem(Reason.APPLY_REJECTED, f"{kind} {name} was refused: {text.strip()}")


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
