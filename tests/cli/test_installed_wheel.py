"""What `pip install haizen[cli]` gives: the wheel, what it asks for, and nothing else (no kopf, no kubernetes)."""

import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.cli.local_run import LocalRun, digit_rows, service_yaml

ROOT = Path(__file__).resolve().parents[2]
FORBID = """\
import sys
from importlib.abc import MetaPathFinder

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment in which Python finds the wheel's content and, of all that is installed here, only its needs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    zipfile.ZipFile(wheel).extractall(site)
    (information,) = site.glob("haizen-*.dist-info")
    needed = needs(metadata.Distribution.at(information))
    forbidden = {
        module
        for module, distributions in metadata.packages_distributions().items()
        if not needed & {canonicalize_name(each) for each in distributions}
    }
    assert {"kopf", "kubernetes", "pytest"} <= forbidden
    assert not {"typer", "numpy", "sklearn"} & forbidden
    (site / "sitecustomize.py").write_text(FORBID.format(forbidden=forbidden))
    return {"PYTHONPATH": str(site)}


def needs(wheel: metadata.Distribution) -> set[str]:
    """All distributions that `haizen[cli]` brings, haizen among them."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [("haizen", extra) for extra in ("", "cli")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        try:
            requires = (wheel if name == "haizen" else metadata.distribution(name)).requires
        except metadata.PackageNotFoundError:
            continue  # for another platform
        for line in requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(requirement.name), each) for each in ("", *requirement.extras)]
    return found


def haizen(installed: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "haizen_cli.main", *arguments]
    environment = {**os.environ, **installed, "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_is_what_runs(installed: Mapping[str, str]) -> None:
    code = "import haizen_cli, haizen_operator, haizen_runtime as r; print(haizen_cli.__file__, r.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **installed}, capture_output=True, text=True, check=True
    )
    assert all(path.startswith(installed["PYTHONPATH"]) for path in done.stdout.split())


@pytest.mark.parametrize("module", ["kopf", "kubernetes", "kubernetes_asyncio", "pytest"])
def test_what_it_does_not_ask_for_is_not_there(installed: Mapping[str, str], module: str) -> None:
    command = [sys.executable, "-c", f"import {module}"]
    done = subprocess.run(command, env={**os.environ, **installed}, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr


def test_render(installed: Mapping[str, str]) -> None:
    shown = haizen(installed, "render", "-f", str(ROOT / "manifests/samples/digits-onnx.yaml"))
    assert "serving.knative.dev/v1" in shown
    assert "haizen-onnx" in shown


def test_validate(installed: Mapping[str, str]) -> None:
    assert haizen(installed, "validate", "-f", str(ROOT / "manifests/samples/canary.yaml"))


def test_run(installed: Mapping[str, str], models: Path, tmp_path: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(service_yaml("digits", models / "sklearn"))
    with LocalRun(file, cache=tmp_path / "cache", environment=installed) as run:
        status, _, answer = run.wait_served().ask("/v1/models/digits:predict", {"instances": list(digit_rows(2))})
        assert (status, len(answer["predictions"])) == (200, 2), json.dumps(answer)
        request = urllib.request.Request(run.gateway, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=60) as page:
            assert "default/digits" in page.read().decode()
        assert run.interrupt() == 0
