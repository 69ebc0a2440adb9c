"""What every door calls: one place that knows models, readiness and inference."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Final

from haizen_runtime.engine.model import Model, State
from haizen_runtime.engine.registry import ModelRegistry
from haizen_runtime.engine.waiting import WaitingRoom
from haizen_runtime.protocol.errors import StartError

if TYPE_CHECKING:
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse


UNLOAD_POLL_SECONDS: Final = 0.02
"""How often an unloading looks whether the last request is answered."""


class DataPlane:
    """The engine's face. Doors decode, call this, and encode."""

    def __init__(self, registry: ModelRegistry | None = None, waiting: WaitingRoom | None = None) -> None:
        self.registry = registry or ModelRegistry()
        self.waiting = waiting or WaitingRoom()
        """Where doors let requests wait whose model is not loaded yet."""
        self.draining = False
        """True once the process was asked to end: unready, while requests are still answered."""

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: no model is still on its way, one at least can answer, no end is near.

        A model that failed to load, or was unloaded on request, beside others that answer keeps nobody from those.
        """
        if self.draining:
            return False
        models = list(self.registry)
        return any(model.ready for model in models) and all(model.settled or model.withdrawn for model in models)

    def model(self, name: str, version: str | None = None) -> Model:
        """A model in any state. Raises ModelNotFound or VersionNotFound."""
        return self.registry.get(name, version)

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """One request, one answer. Raises RequestError."""
        return await self.registry.get(request.model, request.version).infer(request)

    async def load(self, model: Model) -> None:
        """Load a registered model on a thread of its own and open its queue. Raises StartError."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish(error: StartError | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def work() -> None:
            failure: StartError | None = None
            try:
                model.load()
            except StartError as error:
                failure = error
            try:
                loop.call_soon_threadsafe(finish, failure)
            except RuntimeError:  # the loop is closed: the process is ending
                return

        threading.Thread(target=work, name=f"load-{model.name}", daemon=True).start()
        try:
            await done
            model.start()
        finally:
            self.waiting.settled(model)

    async def unload(self, model: Model) -> None:
        """Let go of a model once what it has taken is answered. The registry keeps it, and `load` brings it back."""
        model.withdraw()
        while model.metrics.in_flight and model.state is State.UNLOADING:  # noqa: ASYNC110  # rare, and costs requests nothing
            await asyncio.sleep(UNLOAD_POLL_SECONDS)
        if model.state is State.UNLOADING:
            model.unload()
