"""How CloudEvents are answered: KServe's variables. Apart from the codec, so that a start need not import that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventSettings:
    """How answers to events look."""

    merge: bool = False
    """Keep the attributes of the request's event (CE_MERGE)."""
    type: str = "io.kserve.inference.response"
    """The answers' type (CE_TYPE)."""
    source: str = ""
    """The answers' source (CE_SOURCE); empty: io.kserve.inference. and the model's name."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> EventSettings:
        """From KServe's variables."""
        return cls(
            environment.get("CE_MERGE", "").lower() == "true",
            environment.get("CE_TYPE") or cls().type,
            environment.get("CE_SOURCE", ""),
        )
