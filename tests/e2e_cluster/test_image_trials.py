"""How a trial runs an image's container, and when it takes an answer for the library's own."""

from pathlib import Path
from typing import Any

import pytest

from e2e.images.container import USER, Command, specification
from e2e.images.trial import agree, trials_of

DEFAULT: dict[str, Any] = {
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {"resources": {"devices": [{"allow": False}]}, "namespaces": [{"type": "pid"}, {"type": "network"}]},
}
"""What `runc spec` writes, shortened."""
IMAGE = {"Env": ["PATH=/opt/haizen/app/bin", "HOME=/root"], "WorkingDir": "/tmp"}


def test_a_container_is_as_restricted_as_a_pod() -> None:
    model = Path("/models/iris")
    command = Command(["haizen-runtime"], {"HOME": "/tmp"}, {"/mnt/models": model}, memory_bytes=2**30)
    made = specification(DEFAULT, Path("/root-of-image"), IMAGE, command, "one")
    assert made["root"] == {"path": "/root-of-image", "readonly": True}
    process = made["process"]
    assert process["user"] == {"uid": USER, "gid": USER}
    assert (process["capabilities"], process["noNewPrivileges"]) == ({}, True)
    assert process["env"] == ["PATH=/opt/haizen/app/bin", "HOME=/tmp"]
    options = {mount["destination"]: mount.get("options", []) for mount in made["mounts"]}
    assert "ro" in options["/mnt/models"]
    assert set(options) == {"/proc", "/tmp", "/mnt/models"}
    assert made["linux"]["resources"]["memory"] == {"limit": 2**30, "swap": 2**30}
    assert made["linux"]["namespaces"] == [{"type": "pid"}]


def test_a_trial_runs_the_built_in_runtime() -> None:
    [trial] = trials_of("catboost")
    command = trial.command(1234, Path("/made"))
    assert command.words[0] == "haizen-runtime"
    assert {"--model_name=tiny", "--model_format=catboost", "--http_port=1234"} <= set(command.words)
    assert command.memory_bytes == 2**30
    assert command.read_only == {"/mnt/models": Path("/made/model")}


@pytest.mark.parametrize(
    ("got", "same"),
    [
        pytest.param({"y": [0.5, 1.0]}, True, id="equal"),
        pytest.param({"y": [0.500001, 1.0]}, True, id="rounded"),
        pytest.param({"y": [0.501, 1.0]}, False, id="another-number"),
        pytest.param({"y": [0.5]}, False, id="too-few"),
        pytest.param({"z": [0.5, 1.0]}, False, id="another-name"),
        pytest.param({"y": [0.5, 1.0], "z": []}, False, id="one-too-many"),
        pytest.param({"y": [0.5, float("nan")]}, False, id="not-a-number"),
    ],
)
def test_answers_agree(got: dict[str, list[Any]], same: bool) -> None:
    assert agree(got, {"y": [0.5, 1.0]}) is same
