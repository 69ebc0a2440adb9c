"""The model repository extension over REST: which models there are, loading and unloading one of them.

Its models are those that the process was started with. A name stands for all versions of it. Loading one that is
loaded reads its files again when they changed, beside the running one, which serves until then (`engine.repository`).
Both are refused unless the settings allow them (`docs/design/0007-models-are-not-unloaded-unasked.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.protocol.errors import Forbidden, InvalidInput

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp
    from haizen_runtime.engine.model import Model

KNOWN: Final = frozenset({"unload_dependents"})
"""Parameters of loading and unloading that change nothing here: no model depends on another."""


def repository_endpoints(app: HttpApp) -> dict[str, Endpoint]:
    """Endpoint names to endpoints."""
    plane, responder = app.plane, app.responder

    async def body_of(call: Call) -> Mapping[str, Any]:
        from haizen_runtime.protocol.json_body import parse_object

        body = await app.bodies.read(call.receive, call.headers)
        payload = parse_object(body, app.settings.limits.json_depth) if body.strip() else {}
        parameters = payload.get("parameters") or {}
        check_parameters(parameters if type(parameters) is dict else "?")
        return payload

    async def answer(call: Call, payload: object) -> None:
        import orjson

        await responder.json(call.send, 200, orjson.dumps(payload), call.headers)

    async def index(call: Call) -> None:
        only_ready = (await body_of(call)).get("ready", False)
        if type(only_ready) is not bool:
            raise InvalidInput("Invalid value for 'ready': expected a boolean.")
        await answer(call, [described(model) for model in plane.registry if model.ready or not only_ready])

    async def load(call: Call) -> None:
        await body_of(call)
        await plane.changes.load(call.match.model)
        await answer(call, {"name": call.match.model, "load": True})

    async def unload(call: Call) -> None:
        await body_of(call)
        await plane.changes.unload(call.match.model)
        await answer(call, {"name": call.match.model, "unload": True})

    async def refuse(call: Call) -> None:
        raise control_is_off()

    if not app.settings.model_control:
        load = unload = refuse
    return {"v2.index": index, "v2.load": load, "v2.unload": unload}


def check_parameters(names: Iterable[str]) -> None:
    """Raise InvalidInput for a parameter of loading or unloading that this server has not."""
    unknown = next((name for name in names if name not in KNOWN), None)
    if unknown is not None:
        raise InvalidInput(f"The parameter {unknown[:80]} is not supported: models come from the server's own files.")


def control_is_off() -> Forbidden:
    """The error for loading and unloading where nobody allowed it."""
    return Forbidden(
        "Models are not loaded or unloaded on request here; start the server with --model_control_mode=explicit."
    )


def described(model: Model) -> dict[str, str]:
    """A line of the index (Triton's form)."""
    error = model.error or model.reload_error
    reason = error.message if error is not None else "unloaded" if model.withdrawn else ""
    return {"name": model.name, "version": model.version, "state": model.state.value, "reason": reason}
