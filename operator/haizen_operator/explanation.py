"""Why no runtime serves a model, in one short message for a condition. Pure."""

from haizen_operator.api import InferenceService
from haizen_operator.selection import CLUSTER_KIND, NAMESPACE_KIND, SelectionError, format_label

MOST_CANDIDATES = 3


def explain(isvc: InferenceService, error: SelectionError) -> str:
    """KServe's message, what was asked for, and why the nearest runtimes (or the one that is named) do not do."""
    model = isvc.spec.predictor.effective_model()
    assert model is not None, "a predictor without a model needs no runtime"
    asked = format_label(model.model_format)
    if model.protocol_version is not None:
        asked += f" over {model.protocol_version}"
    if model.runtime is not None:
        found = next((it for it in error.considered if it.name == model.runtime), None)
        if found is None:
            return (
                f"{error.message}: predictor.model.runtime names {model.runtime}, and there is no {NAMESPACE_KIND} in "
                f"namespace {isvc.metadata.namespace} and no {CLUSTER_KIND} of that name"
            )
        return f"{error.message}: predictor.model.runtime names {found.kind} {found.name} for {asked}"
    if not error.considered:
        return f"{error.message}: {asked} is asked for, and there are no runtimes at all"
    nearest = sorted(error.considered, key=lambda it: it.distance)
    why = "; ".join(f"{it.kind} {it.name}: {it.why}" for it in nearest[:MOST_CANDIDATES])
    rest = len(nearest) - MOST_CANDIDATES
    return f"{error.message}: {asked} is asked for. {why}{f'; and {rest} more' if rest > 0 else ''}"
