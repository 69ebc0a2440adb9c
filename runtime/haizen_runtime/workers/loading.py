"""From model.py to an object that predicts; in the worker process."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from haizen_runtime.model import Model
from haizen_runtime.protocol.errors import ModelLoadFailed

MODULE: Final = "model"
"""What model.py is called as a module, so that `import model` beside it and pickles find its classes."""


def import_code(path: Path) -> ModuleType:
    """Run model.py with its directory on the path, as a script's is. Raises ModelLoadFailed with file and line."""
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(MODULE, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise load_error(error, path) from error
    return module


def model_class(module: ModuleType, path: Path) -> type[Any]:
    """The class to serve: the one subclass of haizen_runtime.Model, kserve.Model or Vertex AI's Predictor, else the
    one with `predict`.

    Raises ModelLoadFailed when there is none, or more than one.
    """
    own = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    bases: list[type[Any]] = [Model, *kserve_bases(), *vertex_bases()]
    found = [each for each in own if issubclass(each, tuple(bases))]
    found = found or [each for each in own if callable(getattr(each, "predict", None))]
    # A base class of another one in the same file is not the model.
    found = [each for each in dict.fromkeys(found) if not any(o is not each and issubclass(o, each) for o in found)]
    if len(found) > 1:
        found = [each for each in found if each.__name__ == "Model"] or found
    if not found:
        raise ModelLoadFailed(
            f"{path.name} has no model: expected a subclass of haizen_runtime.Model, or a class with load and predict."
        )
    if len(found) > 1:
        names = ", ".join(each.__name__ for each in found[:10])
        raise ModelLoadFailed(f"{path.name} has {len(found)} models: {names}; expected one, or one called Model.")
    if not callable(getattr(found[0], "predict", None)):
        raise ModelLoadFailed(f"The class {found[0].__name__} in {path.name} has no method predict.")
    return found[0]


def kserve_bases() -> list[type[Any]]:
    """kserve.Model, when the code has imported it."""
    module = sys.modules.get("kserve.model")
    return [each for each in (getattr(module, "Model", None), getattr(module, "BaseKServeModel", None)) if each]


def vertex_bases() -> list[type[Any]]:
    """Vertex AI's Predictor, when the code has imported it."""
    module = sys.modules.get("google.cloud.aiplatform.prediction.predictor")
    return [module.Predictor] if module is not None else []


def make_model(kind: type[Any], name: str, path: Path) -> Any:
    """An object of the class. Its constructor may take the model's name and directory. Raises ModelLoadFailed."""
    if issubclass(kind, Model):
        kind.name, kind.directory = name, path.parent  # so that the constructor sees them, too
    try:
        return kind(*_arguments(kind, name, path))
    except ModelLoadFailed:
        raise
    except (Exception, SystemExit) as error:
        raise load_error(error, path) from error


def _arguments(kind: type[Any], name: str, path: Path) -> list[Any]:
    known = {"name": name, "model_name": name, "directory": path.parent, "model_dir": str(path.parent)}
    arguments: list[Any] = []
    try:
        parameters = inspect.signature(kind).parameters.values()
    except ValueError:  # a class without a Python constructor
        return []
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            break
        if parameter.name in known:
            arguments.append(known[parameter.name])
        elif parameter.default is parameter.empty:
            raise ModelLoadFailed(
                f"The constructor of {kind.__name__} in {path.name} needs {parameter.name}; it can be given "
                "name (the model's) and model_dir (where model.py is), the rest needs defaults."
            )
        else:
            break
    return arguments


def load_error(error: BaseException, path: Path) -> ModelLoadFailed:
    """What went wrong in the model's code, with the line of it."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
    if isinstance(error, ModuleNotFoundError) and error.name:
        text += f"; the package that brings {error.name.partition('.')[0]} has to be installed beside the runtime"
    if isinstance(error, SyntaxError) and error.filename:
        return ModelLoadFailed(f"{_shown(error.filename, path)}, line {error.lineno}: {text}")
    own = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(path.parent)
    ]
    if not own:
        return ModelLoadFailed(f"{path.name} cannot be loaded: {text}")
    return ModelLoadFailed(f"{_shown(own[-1].filename, path)}, line {own[-1].lineno}: {text}")


def _shown(filename: str, path: Path) -> str:
    file = Path(filename)
    return str(file.relative_to(path.parent)) if file.is_relative_to(path.parent) else filename
