"""What every door calls: one place that knows models, readiness and inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haizen_runtime.engine.model import Model
from haizen_runtime.engine.registry import ModelRegistry
from haizen_runtime.engine.repository import Changes, Repository
from haizen_runtime.engine.waiting import WaitingRoom

if TYPE_CHECKING:
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse


class DataPlane:
    """The engine's face. Doors decode, call this, and encode."""

    def __init__(self, registry: ModelRegistry | None = None, waiting: WaitingRoom | None = None) -> None:
        self.registry = registry or ModelRegistry()
        self.waiting = waiting or WaitingRoom()
        """Where doors let requests wait whose model is not loaded yet."""
        self.draining = False
        """True once the process was asked to end: unready, while requests are still answered."""
        self.repository = Repository(self)
        """Loads and unloads the models of this process."""
        self.changes: Changes = self.repository
        """Where doors ask for that; with several processes it reaches all of them."""
        self.siblings_ready = True
        """Whether the other processes on this port can answer, too."""

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here: no model is still on its way, one at least can answer, no end is near.

        A model that failed to load, or was unloaded on request, beside others that answer keeps nobody from those.
        """
        return self.siblings_ready and self.ready_here

    @property
    def ready_here(self) -> bool:
        """The same of this process alone."""
        if self.draining:
            return False
        models = list(self.registry)
        return any(model.ready for model in models) and all(model.settled or model.withdrawn for model in models)

    def model(self, name: str, version: str | None = None) -> Model:
        """A model in any state. Raises ModelNotFound or VersionNotFound."""
        return self.registry.get(name, version)

    def statistics(self, name: str | None, version: str | None) -> list[dict[str, Any]]:
        """What this process did with a version, a whole model, or all. Raises ModelNotFound or VersionNotFound.

        Triton's `model_stats`.
        """
        from haizen_runtime.engine.statistics import model_statistics

        if name is None:
            models = list(self.registry)
        else:
            models = self.registry.all(name) if version is None else [self.registry.get(name, version)]
        return [model_statistics(model.name, model.version, model.metrics) for model in models]

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """One request, one answer. Raises RequestError."""
        return await self.registry.get(request.model, request.version).infer(request)
