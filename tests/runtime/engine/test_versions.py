"""Version policies, version directories, and how changed files are noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.backends.versions import fingerprint, versions_in
from haizen_runtime.engine.polling import ChangeWatch
from haizen_runtime.engine.versions import VersionPolicy, is_version
from haizen_runtime.protocol.errors import InvalidConfiguration, ModelLoadFailed


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        pytest.param("latest", ["10"], id="latest"),
        pytest.param("latest:2", ["3", "10"], id="two-latest"),
        pytest.param("latest:9", ["1", "3", "10"], id="more-than-there-are"),
        pytest.param("all", ["1", "3", "10"], id="all"),
        pytest.param("specific:10,1", ["1", "10"], id="specific"),
        pytest.param("SPECIFIC: 3 , 4", ["3"], id="specific-some-missing"),
        pytest.param("specific:4", [], id="specific-missing"),
    ],
)
def test_policies(policy: str, served: list[str]) -> None:
    assert VersionPolicy.parse(policy).choose(["3", "10", "1", "readme", "007"]) == served


@pytest.mark.parametrize("text", ["", "newest", "latest:0", "latest:-1", "latest:x", "all:1", "specific", "specific:a"])
def test_a_policy_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="latest:N, all, or specific:"):
        VersionPolicy.parse(text)


@given(st.sets(st.integers(0, 10**30)), st.integers(1, 5))
def test_the_latest_are_the_highest(numbers: set[int], count: int) -> None:
    chosen = VersionPolicy(count).choose(map(str, numbers))
    assert [int(version) for version in chosen] == sorted(numbers)[-count:]


@pytest.mark.parametrize(
    ("name", "is_one"), [("1", True), ("0", True), ("01", False), ("1a", False), ("", False), ("٣", False)]
)
def test_names_of_versions(name: str, is_one: bool) -> None:
    assert is_version(name) is is_one


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"model")
    return root


@pytest.mark.parametrize(
    ("files", "served"),
    [
        pytest.param(["model.onnx"], {"1": "."}, id="no-versions"),
        pytest.param(["1/model.onnx", "2/model.onnx", "config.pbtxt"], {"1": "1", "2": "2"}, id="triton"),
        pytest.param(["5/model.joblib", "notes.txt", ".git/x"], {"5": "5"}, id="one"),
        pytest.param(["model.onnx", "1/part.bin"], {"1": "."}, id="a-model-beside-numbers"),
        pytest.param(["weights/model.onnx"], {"1": "."}, id="deeper"),
    ],
)
def test_where_versions_lie(tmp_path: Path, files: list[str], served: dict[str, str]) -> None:
    found = versions_in(make(tmp_path, *files), VersionPolicy(None))
    assert found == {version: tmp_path / place for version, place in served.items()}


def test_a_policy_without_a_match_names_what_is_there(tmp_path: Path) -> None:
    make(tmp_path, "1/model.onnx", "12/model.onnx")
    with pytest.raises(ModelLoadFailed, match="it has 1, 12"):
        versions_in(tmp_path, VersionPolicy.parse("specific:3"))


def test_a_fingerprint_tells_every_change(tmp_path: Path) -> None:
    make(tmp_path, "1/model.onnx", "1/deep/part.bin")
    (tmp_path / "1/loop").symlink_to(tmp_path)
    seen = [fingerprint(tmp_path)]
    assert fingerprint(tmp_path) == seen[0]
    model = tmp_path / "1/model.onnx"
    times = model.stat()
    replaced = tmp_path / "new"
    replaced.write_bytes(b"MODEL")
    os.utime(replaced, ns=(times.st_atime_ns, times.st_mtime_ns))
    replaced.rename(model)  # the same size and time: another file all the same
    seen.append(fingerprint(tmp_path))
    (tmp_path / "1/deep/part.bin").write_bytes(b"longer than before")
    seen.append(fingerprint(tmp_path))
    (tmp_path / "1/deep/part.bin").unlink()
    seen.append(fingerprint(tmp_path))
    assert len(set(seen)) == 4


def test_files_that_are_not_there_have_no_fingerprint(tmp_path: Path) -> None:
    assert fingerprint(tmp_path / "nowhere") is None
    (tmp_path / "dangling").symlink_to("nowhere")
    assert fingerprint(tmp_path) is None


def test_a_change_is_loaded_when_two_looks_agree() -> None:
    watch = ChangeWatch("a")
    assert [watch.offer(seen) for seen in "aabcccbbaa"] == [
        False, False, False, False, True, False, False, True, False, True,
    ]  # fmt: skip


@given(st.lists(st.integers(0, 3)))
def test_the_same_files_are_never_loaded_twice_in_a_row(looks: list[int]) -> None:
    watch, loaded, before = ChangeWatch(0), 0, 0
    for seen in looks:
        if watch.offer(seen):
            assert seen == before != loaded
            loaded = seen
        before = seen
