"""The seam between the operator's built-in runtimes, the images' kinds and the extras of the distribution."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from e2e.cluster.image_kinds import SMALL, Kind, kinds
from e2e.images.tiny_models import MAKERS
from e2e.images.trial import trials_of

REPOSITORY = Path(__file__).parents[2]
RUNTIMES = sorted((REPOSITORY / "operator" / "haizen_operator" / "runtimes").glob("*.yaml"))


def kind_of(runtime: Path) -> str:
    """The kind that a built-in runtime's image names."""
    [container] = yaml.safe_load(runtime.read_text())["spec"]["containers"]
    return str(container["image"]).partition(":")[2] or SMALL


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda path: path.stem)
def test_every_built_in_runtime_has_an_image(runtime: Path) -> None:
    assert kind_of(runtime) in kinds()


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_an_image_holds_extras_that_exist(kind: Kind) -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(kind.extras) <= set(extras)


def test_the_dockerfile_makes_the_small_image_when_told_nothing() -> None:
    dockerfile = (REPOSITORY / "images" / "runtime.Dockerfile").read_text()
    defaults = dict(re.findall(r'^ARG (EXTRAS|PACKAGES)="(.*)"$', dockerfile, re.MULTILINE))
    assert defaults == kinds()[SMALL].build_arguments


def test_every_format_is_tried_in_an_image() -> None:
    tried = {trial.format for kind in kinds() for trial in trials_of(kind)}
    assert tried == set(MAKERS) == {runtime.stem for runtime in RUNTIMES}


@pytest.mark.parametrize("kind", kinds())
def test_every_image_is_tried(kind: str) -> None:
    assert trials_of(kind)


def test_onnxruntime_on_a_gpu_brings_cudas_libraries() -> None:
    """Without them it runs on the CPU; PyTorch, which the image has too, brings most of them and not all."""
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [onnxruntime] = map(Requirement, extras["onnx-gpu"])
    assert onnxruntime.extras == {"cuda", "cudnn"}
