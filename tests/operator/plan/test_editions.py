"""Runtimes are read once an edition, and never an old one."""

import copy

from haizen_operator.api import ClusterServingRuntime
from haizen_operator.editions import read_runtime
from haizen_operator.runtimes import load_builtin_runtimes

(RUNTIME, *_) = load_builtin_runtimes("example.com/runtime:1")


def edition(uid: str, version: str, image: str) -> dict[str, object]:
    made = copy.deepcopy(RUNTIME)
    made["metadata"] |= {"uid": uid, "resourceVersion": version}
    made["spec"]["containers"][0]["image"] = image
    return made


def image_of(manifest: dict[str, object]) -> str:
    return str(read_runtime(ClusterServingRuntime, manifest).spec.containers[0]["image"])


def test_same_edition_is_read_once() -> None:
    first = read_runtime(ClusterServingRuntime, edition("one", "1", "a"))
    assert read_runtime(ClusterServingRuntime, edition("one", "1", "a")) is first


def test_every_other_edition_is_read_anew() -> None:
    editions = [("two", "1", "a"), ("two", "2", "b"), ("three", "2", "c")]
    assert [image_of(edition(*it)) for it in editions] == ["a", "b", "c"]


def test_runtime_that_no_server_numbered_is_read_each_time() -> None:
    assert [image_of(edition("", "", image)) for image in ("a", "b")] == ["a", "b"]
