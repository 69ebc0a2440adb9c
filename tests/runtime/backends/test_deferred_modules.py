"""Deferred modules: executed once something is taken from them, and the same modules as ever from then on."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from haizen_runtime.backends.deferred_modules import defer

MARK = "executed.txt"
CODE = f"""
import pathlib
mark = pathlib.Path(__file__).with_name("{MARK}")
mark.write_text(mark.read_text() + "x" if mark.exists() else "x")
from . import below
def double(value): return 2 * value
LIMIT = 3
"""


class Package:
    """A package in a folder of its own, and how often its code ran."""

    def __init__(self, folder: Path, code: str = CODE) -> None:
        self.name = f"package_{uuid.uuid4().hex}"
        self.folder = folder / self.name
        self.folder.mkdir()
        (self.folder / "__init__.py").write_text(code)
        (self.folder / "below.py").write_text(f"import {self.name} as above\nNAME = __name__\n")

    def module(self) -> ModuleType:
        return importlib.import_module(self.name)

    def executions(self) -> int:
        mark = self.folder / MARK
        return len(mark.read_text()) if mark.exists() else 0


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    finders, modules = list(sys.meta_path), set(sys.modules)
    yield tmp_path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules:
        if name.startswith("package_"):
            del sys.modules[name]


@pytest.fixture
def package(packages: Path) -> Package:
    made = Package(packages)
    defer({made.name: frozenset({"double"})})
    return made


def taken_by_name(package: Package) -> object:
    namespace: dict[str, object] = {}
    exec(f"from {package.name} import LIMIT", namespace)
    return namespace["LIMIT"]


def module_below(package: Package) -> object:
    below = importlib.import_module(f"{package.name}.below")
    assert below is package.module().below
    assert below.above is package.module()
    assert below.__spec__ is not None
    assert type(below.__spec__.loader).__name__ == "SourceFileLoader"
    return below.NAME.removeprefix(f"{package.name}.")


USES: list[tuple[str, Callable[[Package], object], object]] = [
    ("attribute", lambda package: package.module().LIMIT, 3),
    ("by-name", taken_by_name, 3),
    ("function", lambda package: package.module().double(4), 8),
    ("module-below", module_below, "below"),
    ("hasattr", lambda package: hasattr(package.module(), "nothing"), False),
]


def test_an_import_executes_nothing(package: Package) -> None:
    module = package.module()
    exec(f"import {package.name}; from {package.name} import double")
    assert module.__spec__ is not None
    assert module.__spec__.origin == str(package.folder / "__init__.py")
    assert not hasattr(module, "__wrapped__")
    assert package.executions() == 0


@pytest.mark.parametrize(("use", "expected"), [pytest.param(use, what, id=name) for name, use, what in USES])
def test_a_use_executes_the_module_once(package: Package, use: Callable[[Package], object], expected: object) -> None:
    module = package.module()
    assert use(package) == expected
    assert use(package) == expected
    assert package.executions() == 1
    assert type(module) is ModuleType
    assert package.module() is module
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert type(module.__loader__).__name__ == "SourceFileLoader"


def test_a_function_taken_earlier_is_the_modules(package: Package) -> None:
    taken = package.module().double
    assert package.executions() == 0
    assert taken(5) == 10
    assert package.executions() == 1


def test_deferring_again_is_as_once(package: Package) -> None:
    finders = len(sys.meta_path)
    for _ in range(3):
        defer({package.name: frozenset({"double"})})
    module = package.module()
    defer({package.name: frozenset({"double"})})
    assert len(sys.meta_path) == finders
    assert (module.LIMIT, package.executions()) == (3, 1)


def test_what_was_imported_is_not_deferred(packages: Path) -> None:
    imported = Package(packages)
    module = imported.module()
    defer({imported.name: frozenset()})
    assert imported.module() is module
    assert imported.executions() == 1


def test_threads_wait_for_the_one_that_executes(packages: Path) -> None:
    slow = Package(packages, CODE + "\nimport time\ntime.sleep(0.2)\nLAST = 'last'\n")
    defer({slow.name: frozenset()})
    module, seen, start = slow.module(), [], threading.Barrier(4)

    def use() -> None:
        start.wait()
        seen.append(module.LAST)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["last"] * 4
    assert slow.executions() == 1


def test_a_failure_goes_to_who_asks_and_the_next_tries_again(packages: Path) -> None:
    failing = Package(packages, "raise OSError('no library')")
    defer({failing.name: frozenset()})
    module = failing.module()
    with pytest.raises(OSError, match="no library"):
        module.anything  # noqa: B018
    (failing.folder / "__init__.py").write_text("anything = 'now it is there'")
    importlib.invalidate_caches()
    assert module.anything == "now it is there"


def test_a_module_that_is_missing_is_missing(packages: Path) -> None:
    name = f"package_{uuid.uuid4().hex}"
    defer({name: frozenset()})
    with pytest.raises(ModuleNotFoundError, match=name):
        importlib.import_module(name)


SERVE = """
import json, pathlib, sys
from haizen_runtime.backends.loading import LoadOptions, load_backend
import numpy
backend = load_backend(pathlib.Path(sys.argv[1]), None, LoadOptions(allow_code=True))
answer = backend.execute({"input-0": numpy.load(sys.argv[2])}, None)["output-0"].tolist()
kinds = [type(sys.modules[name]).__name__ for name in ("scipy.stats", "numpy.testing", "numpy.f2py")]
print(json.dumps([answer, kinds]))
"""


@pytest.mark.parametrize(
    ("step", "deferred"),
    [
        pytest.param(StandardScaler(), True, id="needs-no-statistics"),
        pytest.param(QuantileTransformer(n_quantiles=20, output_distribution="normal"), False, id="needs-scipy-stats"),
    ],
)
def test_a_model_answers_as_ever(step: object, deferred: bool, tmp_path: Path) -> None:
    rows, classes = load_iris(return_X_y=True)
    model = make_pipeline(step, LogisticRegression()).fit(rows, classes)
    folder = tmp_path / "model"
    folder.mkdir()
    joblib.dump(model, folder / "model.joblib")
    np.save(tmp_path / "rows.npy", rows)
    command = [sys.executable, "-c", SERVE, str(folder), str(tmp_path / "rows.npy")]
    answer, kinds = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert answer == model.predict(rows).tolist()
    assert (kinds[0] == "_DeferredModule") is deferred
