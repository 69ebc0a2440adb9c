"""Hot reload: the new model is loaded beside the running one and takes its place without a lost request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.dataplane import DataPlane
from haizen_runtime.engine.model import Model, ModelFiles
from haizen_runtime.engine.scheduling_settings import SchedulingSettings
from haizen_runtime.protocol.errors import (
    ModelLoadFailed,
    ModelNotFound,
    ModelNotReady,
    ReloadFailed,
    VersionNotFound,
)
from haizen_runtime.protocol.messages import InferenceRequest, ModelMetadata, Tensor, TensorMetadata
from tests.runtime.conftest import until

ROW = TensorMetadata("x", "FP64", (-1,))


class Constant(Backend):
    """Answers its own number; holds on while its gate is closed."""

    metadata = ModelMetadata("test", (ROW,), (ROW,))

    def __init__(self, number: int) -> None:
        self.number = number
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False

    def execute(self, inputs: Any, outputs: Sequence[str] | None) -> dict[str, Any]:
        assert self.gate.wait(30)
        assert not self.closed
        return {"x": np.full_like(inputs["x"], self.number)}

    def sample(self, rows: int) -> Any:
        return {"x": np.zeros(rows)}

    def close(self) -> None:
        self.closed = True


class Files:
    """The model's directory: what is there now, and everything that was loaded from it."""

    def __init__(self, **versions: int | Exception) -> None:
        self.versions: dict[str, int | Exception] = {key[1:]: value for key, value in versions.items()}
        self.loaded: list[Constant] = []
        self.loading = 0
        self.most_at_once = 0
        self.may_load = threading.Event()
        self.may_load.set()

    def scan(self) -> dict[str, ModelFiles]:
        if not self.versions:
            raise ModelLoadFailed("The directory is empty.")
        return {version: ModelFiles(self.loader(content), content) for version, content in self.versions.items()}

    def loader(self, content: int | Exception) -> Callable[[], Backend]:
        def load() -> Backend:
            self.loading += 1
            self.most_at_once = max(self.most_at_once, self.loading)
            try:
                assert self.may_load.wait(30)
                if isinstance(content, Exception):
                    raise content
                self.loaded.append(Constant(content))
                return self.loaded[-1]
            finally:
                self.loading -= 1

        return load


async def serving(files: Files) -> DataPlane:
    plane = DataPlane()
    plane.registry.add(Model("m", "1", files.loader(0), SchedulingSettings(place="thread"), files.scan))
    await plane.repository.start("m")
    return plane


async def ask(plane: DataPlane, version: str | None = None) -> int:
    model = plane.model("m", version)
    model.metrics.in_flight += 1  # as the doors do
    try:
        answer = await model.infer(InferenceRequest("m", [Tensor("x", "FP64", (1,), np.zeros(1))]))
    finally:
        model.metrics.in_flight -= 1
    return int(answer.outputs[0].data[0])


async def test_the_new_one_takes_over_and_the_old_one_answers_what_it_has() -> None:
    files = Files(v1=10)
    plane = await serving(files)
    (old,) = files.loaded
    old.gate.clear()
    taken = [asyncio.ensure_future(ask(plane)) for _ in range(3)]
    await asyncio.sleep(0)
    files.versions = {"1": 20}
    files.may_load.clear()
    loading = asyncio.ensure_future(plane.changes.load("m"))
    await until(lambda: files.loading == 1)
    queued = asyncio.ensure_future(ask(plane))  # comes while the new one is loaded: the old one takes it
    await asyncio.sleep(0)
    assert plane.ready
    files.may_load.set()
    await loading
    assert await ask(plane) == 20
    assert not old.closed
    old.gate.set()
    assert await asyncio.gather(*taken, queued) == [10, 10, 10, 10]
    await until(lambda: old.closed)
    assert await ask(plane) == 20
    assert plane.model("m").metrics.loads == {"ok": 2, "failed": 0}


@pytest.mark.parametrize(
    ("now", "says"),
    [
        pytest.param({"1": ModelLoadFailed("model.bin is cut off.")}, "model.bin is cut off", id="broken"),
        pytest.param({"1": EOFError("ends")}, "EOFError: ends", id="library-error"),
        pytest.param({}, "The directory is empty", id="gone"),
        pytest.param({"2": ModelLoadFailed("no weights.")}, "no weights", id="broken-new-version"),
    ],
)
async def test_a_reload_that_fails_keeps_the_old_one_serving(now: dict[str, Any], says: str) -> None:
    files = Files(v1=10)
    plane = await serving(files)
    files.versions = now
    with pytest.raises(ReloadFailed, match=says):
        await plane.changes.load("m")
    assert plane.ready
    assert plane.registry.versions("m") == ["1"]
    assert await ask(plane) == 10
    files.versions = {"1": 30}
    await plane.changes.load("m")
    assert await ask(plane) == 30
    assert plane.model("m").reload_error is None


async def test_a_model_that_fails_its_first_inference_is_closed_again() -> None:
    files = Files(v1=10)
    plane = await serving(files)
    broken = Constant(1)
    broken.execute = lambda inputs, outputs: 1 / 0  # type: ignore[method-assign, return-value, assignment]
    files.scan = lambda: {"1": ModelFiles(lambda: broken, 1)}  # type: ignore[method-assign]
    plane.model("m").scan = files.scan
    with pytest.raises(ReloadFailed, match="fails its first inference"):
        await plane.changes.load("m")
    assert broken.closed
    assert await ask(plane) == 10


async def test_files_that_did_not_change_are_not_loaded_again() -> None:
    files = Files(v1=10)
    plane = await serving(files)
    await plane.changes.load("m")
    assert len(files.loaded) == 1


async def test_loads_at_once_come_one_after_the_other() -> None:
    files = Files(v1=10)
    plane = await serving(files)
    files.may_load.clear()
    files.versions = {"1": 20}
    loads = [asyncio.ensure_future(plane.changes.load("m")) for _ in range(4)]
    await until(lambda: files.loading == 1)
    files.may_load.set()
    await asyncio.gather(*loads)
    assert files.most_at_once == 1
    assert [each.number for each in files.loaded] == [10, 20]


async def test_an_unload_waits_for_the_load_before_it() -> None:
    files = Files(v1=10)
    plane = await serving(files)
    files.versions = {"1": 20}
    await asyncio.gather(plane.changes.load("m"), plane.changes.unload("m"))
    with pytest.raises(ModelNotReady, match="unloaded"):
        await ask(plane)
    await plane.changes.load("m")
    assert await ask(plane) == 20


async def test_nothing_is_loaded_while_the_process_ends() -> None:
    files = Files(v1=10)
    plane = await serving(files)
    plane.draining = True
    files.versions = {"1": 20}
    with pytest.raises(ModelNotReady, match="shutting down"):
        await plane.changes.load("m")
    assert await ask(plane) == 10


async def test_an_unknown_name_is_not_found() -> None:
    plane = await serving(Files(v1=10))
    for change in (plane.changes.load, plane.changes.unload):
        with pytest.raises(ModelNotFound):
            await change("rose")


async def test_versions_side_by_side() -> None:
    plane = await serving(Files(v1=10, v3=30))
    assert plane.registry.versions("m") == ["1", "3"]
    assert [await ask(plane), await ask(plane, "1"), await ask(plane, "3")] == [30, 10, 30]
    with pytest.raises(VersionNotFound, match="the versions it has: 1, 3"):
        await ask(plane, "2")


async def test_a_new_version_replaces_the_old_once_it_is_ready() -> None:
    files = Files(v1=10)
    plane = await serving(files)
    (old,) = files.loaded
    old.gate.clear()
    taken = asyncio.ensure_future(ask(plane))
    await asyncio.sleep(0)
    files.versions = {"2": 20}
    await plane.changes.load("m")
    assert plane.registry.versions("m") == ["2"]
    assert await ask(plane) == 20
    assert not old.closed
    old.gate.set()
    assert await taken == 10
    await until(lambda: old.closed)


async def test_a_request_whose_body_is_still_coming_is_answered_by_the_version_it_has_found() -> None:
    files = Files(v1=10)
    plane = await serving(files)
    model = plane.model("m")
    model.metrics.in_flight += 1  # the door has found the model and reads the body
    files.versions = {"2": 20}
    await plane.changes.load("m")
    answer = await model.infer(InferenceRequest("m", [Tensor("x", "FP64", (1,), np.zeros(1))]))
    assert answer.outputs[0].data.tolist() == [10]
    model.metrics.in_flight -= 1
    await until(lambda: files.loaded[0].closed)


async def test_a_broken_version_beside_good_ones_is_not_the_default() -> None:
    plane = await serving(Files(v1=10, v2=ModelLoadFailed("cut off.")))
    assert plane.ready
    assert await ask(plane) == 10
    with pytest.raises(ModelNotReady, match="cut off"):
        await ask(plane, "2")


async def test_before_the_versions_are_known_each_is_waited_for() -> None:
    files = Files(v7=70)
    plane = DataPlane()
    plane.registry.add(Model("m", "1", files.loader(0), None, files.scan))
    early = plane.model("m", "7")
    with plane.waiting.place(early) as opened:
        await plane.repository.start("m")
        await opened
    assert plane.model("m", "7") is early
    with pytest.raises(VersionNotFound):
        plane.model("m", "1")
