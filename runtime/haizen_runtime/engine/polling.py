"""Reloading when the files changed: TF Serving's and Triton's poll mode."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from typing import TYPE_CHECKING

from haizen_runtime.protocol.errors import RequestError, StartError

if TYPE_CHECKING:
    from haizen_runtime.engine.dataplane import DataPlane

log = logging.getLogger("haizen_runtime")


class ChangeWatch:
    """Says when files have changed and are complete: what two looks in a row see, and was not tried before. Pure."""

    def __init__(self, tried: Hashable) -> None:
        """`tried` is what was loaded."""
        self._tried = tried
        self._last = tried

    def offer(self, seen: Hashable) -> bool:
        """Whether to load now what was `seen`. A load that fails is not tried again until the files change again."""
        settled, self._last = seen == self._last, seen
        if not settled or seen == self._tried:
            return False
        self._tried = seen
        return True


async def poll(plane: DataPlane, seconds: float) -> None:
    """Look at the files of every model again and again, until cancelled."""
    watches: dict[str, ChangeWatch] = {}
    while True:
        for name in plane.registry.names:
            if all(model.withdrawn for model in plane.registry.all(name)):
                continue  # unloaded on request: it stays so
            try:
                seen = await plane.repository.look(name)
                if name not in watches:
                    watches[name] = ChangeWatch(plane.registry.fingerprint(name))
                if watches[name].offer(seen):
                    log.info("the files of model %s have changed: loading them", name)
                    await plane.repository.load(name)
            except StartError as error:
                log.warning("the files of model %s cannot be looked at: %s", name, error)
            except RequestError as error:
                log.warning("%s", error.message)
        await asyncio.sleep(seconds)
