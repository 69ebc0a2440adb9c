"""Which runtime serves a model, and why: KServe's order exactly, and a choice that stays once made.

KServe's rule: runtimes of the namespace come before those of the cluster. Each list is sorted by lowest protocol
(v1, v2, grpc-v1, grpc-v2, none), newest first, then name; filtered; and sorted, stably, by priority, highest first.
The first wins. A runtime that is named outright is looked up in the namespace, then in the cluster.

Where we differ: the choice is sticky. It is made anew only when the model's format, version, protocol or named
runtime changes, so that a new runtime on the cluster rolls nobody's pods.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from haizen_operator.api import InferenceService, ModelFormat, ModelSpec, ServingRuntime, SupportedModelFormat
from haizen_operator.server_types import server_type, usual_protocol

CLUSTER_KIND = "ClusterServingRuntime"
NAMESPACE_KIND = "ServingRuntime"
DEFAULT_PROTOCOL = "v1"
_PROTOCOL_ORDER = {"v1": 1, "v2": 2, "grpc-v1": 3, "grpc-v2": 4}
_UNKNOWN_PROTOCOL = 5


class SelectionReason(StrEnum):
    """Why no runtime was chosen: KServe's reasons in ``status.modelStatus.lastFailureInfo``."""

    RUNTIME_NOT_RECOGNIZED = "RuntimeNotRecognized"
    RUNTIME_DISABLED = "RuntimeDisabled"
    NO_SUPPORTING_RUNTIME = "NoSupportingRuntime"


@dataclass(frozen=True, slots=True)
class Considered:
    """One runtime that was looked at, and why it was taken or not."""

    kind: str
    name: str
    accepted: bool
    why: str
    distance: int = 0
    """How far a runtime that was refused is from serving the model; 0 is nearest."""


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """A choice made earlier, and the model it was made for."""

    kind: str
    name: str
    format: str
    version: str | None
    protocol: str | None
    requested_runtime: str | None

    def to_annotation(self) -> str:
        """The value of the annotation ``haizen.dev/runtime-choice`` that records this choice."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class PinnedRuntime:
    """The runtime in use: from status (kind and name), and, when it was recorded, the model it was chosen for.

    Without a record (a service that came from KServe, or a lost annotation) the runtime in use is kept as long as it
    still fits the model.
    """

    kind: str
    name: str
    choice: RuntimeChoice | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The runtime that serves a model."""

    runtime: ServingRuntime
    kind: str
    name: str
    protocol_version: str
    model_format: ModelFormat
    considered: tuple[Considered, ...]
    choice: RuntimeChoice


class SelectionError(Exception):
    """No runtime serves the model; ``reason`` and ``message`` are KServe's, ``considered`` says why for each."""

    def __init__(self, reason: SelectionReason, message: str, considered: tuple[Considered, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.considered = considered


def pinned_runtime(status: Mapping[str, object], choice_annotation: str | None) -> PinnedRuntime | None:
    """The runtime in use, from an InferenceService's status and the annotation on its Knative Service."""
    name, kind = status.get("servingRuntimeName"), NAMESPACE_KIND
    if not name:
        name, kind = status.get("clusterServingRuntimeName"), CLUSTER_KIND
    choice = _read_choice(choice_annotation)
    if not name:
        # Status lost its memory (a restore, a re-creation from git): the child still knows.
        return PinnedRuntime(choice.kind, choice.name, choice) if choice is not None else None
    same = choice is not None and (choice.kind, choice.name) == (kind, name)
    return PinnedRuntime(kind, str(name), choice if same else None)


def select_runtime(
    isvc: InferenceService,
    namespace_runtimes: Iterable[ServingRuntime],
    cluster_runtimes: Iterable[ServingRuntime],
    pinned: PinnedRuntime | None = None,
) -> Selection:
    """Choose the runtime for the predictor's model.

    Raises ``SelectionError``; ``ValueError`` when the predictor brings its own containers, which need no runtime.
    """
    model = isvc.spec.predictor.effective_model()
    if model is None:
        raise ValueError(f"InferenceService {isvc.metadata.name} has a custom container, which needs no runtime")
    multi_node = isvc.spec.predictor.worker_spec is not None
    own = [(NAMESPACE_KIND, runtime) for runtime in sorted(namespace_runtimes, key=_list_order)]
    everybodys = [(CLUSTER_KIND, runtime) for runtime in sorted(cluster_runtimes, key=_list_order)]
    if model.runtime is not None:
        return _named(model, [*own, *everybodys])
    if pinned is not None:
        kept = _keep(model, [*own, *everybodys], pinned, multi_node)
        if kept is not None:
            return kept
    return _best(model, own, everybodys, multi_node)


def _named(model: ModelSpec, runtimes: list[tuple[str, ServingRuntime]]) -> Selection:
    found = next(((kind, it) for kind, it in runtimes if it.metadata.name == model.runtime), None)
    if found is None:
        raise SelectionError(
            SelectionReason.RUNTIME_NOT_RECOGNIZED,
            "Waiting for runtime to become available",
            tuple(
                Considered(kind, it.metadata.name, False, f"its name is not {model.runtime!r}") for kind, it in runtimes
            ),
        )
    kind, runtime = found
    spec, name = runtime.spec, runtime.metadata.name

    def refused(reason: SelectionReason, message: str) -> SelectionError:
        return SelectionError(reason, message, (Considered(kind, name, False, message),))

    if spec.disabled:
        raise refused(SelectionReason.RUNTIME_DISABLED, "Specified runtime is disabled")
    if model.protocol_version is not None and not _speaks(runtime, model.protocol_version):
        raise refused(
            SelectionReason.NO_SUPPORTING_RUNTIME, "Specified runtime does not support specified protocol version"
        )
    if not _loads(model.model_format, spec.supported_model_formats):
        raise refused(
            SelectionReason.NO_SUPPORTING_RUNTIME, "Specified runtime does not support specified framework/version"
        )
    why = f"predictor.model.runtime names it; found among the {kind}s"
    return _selection(model, kind, runtime, (Considered(kind, name, True, why),))


def _keep(
    model: ModelSpec, runtimes: list[tuple[str, ServingRuntime]], pinned: PinnedRuntime, multi_node: bool
) -> Selection | None:
    """The runtime in use, if the model still asks for the same; none when the choice must be made anew."""
    found = next((it for kind, it in runtimes if (kind, it.metadata.name) == (pinned.kind, pinned.name)), None)
    if found is None or (pinned.choice is not None and not _made_for(model, pinned.choice)):
        return None
    # A runtime that can no longer load the model is given up; one that is merely no longer auto-selected is kept.
    if _refusal(model, found, multi_node, auto_select=False) is not None:
        return None
    why = "in use already; chosen anew only when format, version, protocol or runtime of the model change"
    return _selection(model, pinned.kind, found, (Considered(pinned.kind, pinned.name, True, why),))


def _best(
    model: ModelSpec,
    own: list[tuple[str, ServingRuntime]],
    everybodys: list[tuple[str, ServingRuntime]],
    multi_node: bool,
) -> Selection:
    refusals = {
        (kind, runtime.metadata.name): _refusal(model, runtime, multi_node) for kind, runtime in [*own, *everybodys]
    }
    ranked = [
        (kind, runtime)
        for runtimes in (own, everybodys)
        for kind, runtime in sorted(
            ((kind, it) for kind, it in runtimes if refusals[kind, it.metadata.name] is None),
            key=lambda entry: _priority_order(entry[1], model.model_format.name),
        )
    ]
    refused = tuple(
        Considered(kind, runtime.metadata.name, False, refusal, _distance(model, runtime))
        for kind, runtime in [*own, *everybodys]
        if (refusal := refusals[kind, runtime.metadata.name]) is not None
    )
    if not ranked:
        raise SelectionError(
            SelectionReason.NO_SUPPORTING_RUNTIME, "No runtime found to support specified framework/version", refused
        )
    (kind, winner), *others = ranked
    considered = (
        Considered(kind, winner.metadata.name, True, _why_first(model, winner)),
        *(Considered(k, it.metadata.name, False, _why_behind(model, kind, winner, k, it)) for k, it in others),
        *refused,
    )
    return _selection(model, kind, winner, considered)


def _selection(model: ModelSpec, kind: str, runtime: ServingRuntime, considered: tuple[Considered, ...]) -> Selection:
    name = runtime.metadata.name
    protocol = (
        model.protocol_version
        or usual_protocol(server_type(name, runtime.metadata.annotations))
        or _lowest_protocol(runtime)
    )
    choice = RuntimeChoice(
        kind=kind,
        name=name,
        format=model.model_format.name,
        version=model.model_format.version,
        protocol=model.protocol_version,
        requested_runtime=model.runtime,
    )
    return Selection(runtime, kind, name, protocol, model.model_format, considered, choice)


def _refusal(model: ModelSpec, runtime: ServingRuntime, multi_node: bool, *, auto_select: bool = True) -> str | None:
    """Why a runtime cannot serve the model, none if it can."""
    spec = runtime.spec
    if spec.disabled:
        return "it is disabled"
    if spec.multi_model:
        return "it is for ModelMesh (multiModel)"
    wanted = format_label(model.model_format)
    if not _loads(model.model_format, spec.supported_model_formats):
        known = ", ".join(dict.fromkeys(format_label(it) for it in spec.supported_model_formats)) or "none"
        return f"it does not load {wanted} (it loads: {known})"
    if auto_select and not _loads(model.model_format, [it for it in spec.supported_model_formats if it.auto_select]):
        return f"it loads {wanted} but is not to be chosen by itself (autoSelect is not true); name it in model.runtime"
    protocol = model.protocol_version or DEFAULT_PROTOCOL
    if not _speaks(runtime, protocol):
        said = protocol if model.protocol_version else f"{protocol} (the default when protocolVersion is left out)"
        return f"it does not speak {said} (it speaks: {', '.join(spec.protocol_versions)})"
    if multi_node != (spec.worker_spec is not None):
        return "it spreads a model over several nodes" if not multi_node else "it does not spread a model over nodes"
    return None


def _distance(model: ModelSpec, runtime: ServingRuntime) -> int:
    """0 for a runtime that loads the format, 1 for another version of it, 2 for others; one that is off is further."""
    formats = runtime.spec.supported_model_formats
    off = 3 if runtime.spec.disabled or runtime.spec.multi_model else 0
    if _loads(model.model_format, formats):
        return off
    return off + (1 if any(it.name == model.model_format.name for it in formats) else 2)


def _loads(wanted: ModelFormat, formats: Iterable[SupportedModelFormat]) -> bool:
    return any(
        supported.name == wanted.name and (wanted.version is None or supported.version == wanted.version)
        for supported in formats
    )


def _speaks(runtime: ServingRuntime, protocol: str) -> bool:
    return not runtime.spec.protocol_versions or protocol in runtime.spec.protocol_versions


def format_label(model_format: ModelFormat | SupportedModelFormat) -> str:
    """A model format for people: its name, and its version if it has one."""
    return model_format.name if model_format.version is None else f"{model_format.name}:{model_format.version}"


def _protocol_rank(runtime: ServingRuntime) -> int:
    return min(
        (_PROTOCOL_ORDER.get(protocol, _UNKNOWN_PROTOCOL) for protocol in runtime.spec.protocol_versions),
        default=_UNKNOWN_PROTOCOL,
    )


def _lowest_protocol(runtime: ServingRuntime) -> str:
    rank = _protocol_rank(runtime)
    return next((protocol for protocol, order in _PROTOCOL_ORDER.items() if order == rank), DEFAULT_PROTOCOL)


def _list_order(runtime: ServingRuntime) -> tuple[int, tuple[int, ...], str]:
    # RFC 3339 in UTC sorts as text; negated code points turn it into newest first. No timestamp counts as oldest.
    created = runtime.metadata.creation_timestamp or ""
    newest_first = (*(-ord(character) for character in created), 1)
    return _protocol_rank(runtime), newest_first, runtime.metadata.name


def _priority(runtime: ServingRuntime, format_name: str) -> int | None:
    # KServe's rule: the first entry with that name counts, whatever its version.
    return next((it.priority for it in runtime.spec.supported_model_formats if it.name == format_name), None)


def _priority_order(runtime: ServingRuntime, format_name: str) -> tuple[bool, int]:
    priority = _priority(runtime, format_name)
    return priority is None, -(priority or 0)


def _made_for(model: ModelSpec, choice: RuntimeChoice) -> bool:
    return (choice.format, choice.version, choice.protocol, choice.requested_runtime) == (
        model.model_format.name,
        model.model_format.version,
        model.protocol_version,
        model.runtime,
    )


def _why_first(model: ModelSpec, winner: ServingRuntime) -> str:
    priority = _priority(winner, model.model_format.name)
    rank = "without a priority" if priority is None else f"with priority {priority}"
    protocol = model.protocol_version or DEFAULT_PROTOCOL
    return f"it loads {format_label(model.model_format)} over {protocol}, {rank}, and is first in KServe's order"


def _why_behind(model: ModelSpec, kind: str, winner: ServingRuntime, other_kind: str, other: ServingRuntime) -> str:
    if kind != other_kind:
        return f"it would do, but a {kind} comes before a {other_kind}"
    name = model.model_format.name
    ours, theirs = _priority(winner, name), _priority(other, name)
    if ours != theirs:
        return f"it would do, but its priority ({_or_none(theirs)}) is lower than {winner.metadata.name}'s ({ours})"
    if _protocol_rank(winner) != _protocol_rank(other):
        return f"it would do, but {winner.metadata.name} speaks a lower protocol"
    if winner.metadata.creation_timestamp != other.metadata.creation_timestamp:
        return f"it would do, but {winner.metadata.name} is newer"
    return f"it would do, but {winner.metadata.name} comes first by name"


def _or_none(priority: int | None) -> str:
    return "none" if priority is None else str(priority)


def _read_choice(annotation: str | None) -> RuntimeChoice | None:
    if not annotation:
        return None
    try:
        return RuntimeChoice(**json.loads(annotation))
    except (TypeError, ValueError):
        return None  # written by hand or by another release: the same as no record
