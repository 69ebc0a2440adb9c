"""What a PyTorch file holds, and how each kind is opened: TorchScript, exported programs, weights with their class.

Each of them can run code: TorchScript and exported programs name any operator of PyTorch (files are written by some),
and reading an exported program evaluates expressions in it. The caller has checked that code is allowed. Even then no
pickle runs: `torch.load` reads weights only, and PyTorch's own fallback to full pickles is off in this process.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any, Final

import torch

from haizen_runtime.protocol.errors import ModelLoadFailed, UntrustedFormat

# torch.export.load reads what it cannot read as weights as a full pickle, unless this is set.
os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)

SCRIPT: Final = "script"
EXPORTED: Final = "exported"
WEIGHTS: Final = "weights"


def kind_of(path: Path) -> str:
    """SCRIPT, EXPORTED or WEIGHTS, by the members of the archive. Raises ModelLoadFailed for compiled packages."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.partition("/")[2] for name in archive.namelist()}
    except zipfile.BadZipFile:
        if path.suffix.lower() == ".pt2":
            raise ModelLoadFailed(f"{path.name} is not an archive of torch.export.save, or is cut short.") from None
        return WEIGHTS  # the format before PyTorch 1.6 is no archive
    if any(name.startswith("data/aotinductor/") for name in members):
        raise ModelLoadFailed(
            f"{path.name} is a package of AOTInductor, compiled for one machine; save it with torch.export.save."
        )
    if "archive_format" in members or "serialized_exported_program.json" in members:
        return EXPORTED
    return SCRIPT if "constants.pkl" in members and any(name.startswith("code/") for name in members) else WEIGHTS


def open_script(path: Path, device: Any) -> Any:
    """A TorchScript module, set to answer."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.* is deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.* is deprecated", category=DeprecationWarning)
        module = torch.jit.load(str(path), map_location=device)
    module.eval()
    return module


def open_exported(path: Path, device: Any) -> Any:
    """An ExportedProgram on the device. Raises UntrustedFormat when it holds pickles of other things than tensors."""
    try:
        program = torch.export.load(str(path))
    except pickle.UnpicklingError as error:
        raise _untrusted(path) from error
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    return program


def open_weights(path: Path, model_class: str, device: Any) -> Any:
    """An nn.Module: the class from the .py file beside the weights, made without arguments, with the weights in it.

    Raises UntrustedFormat when the file is a pickle of more than tensors, ModelLoadFailed when class or weights do
    not fit.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _is_pickle(path):
            raise ModelLoadFailed(f"{path.name} is no file of PyTorch.") from error
        raise _untrusted(path) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):  # checkpoints of trainers
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise ModelLoadFailed(f"{path.name} holds a {type(state).__name__}; expected a state dict.")
    module = _module_class(path, model_class)()
    module.load_state_dict(state)
    return module.to(device).eval()


def _untrusted(path: Path) -> UntrustedFormat:
    return UntrustedFormat(
        f"{path.name} is a pickle that wants to run more than the making of tensors, which is never allowed. "
        "Save the model with torch.export.save, or its state_dict() with its class in a .py file beside it."
    )


def _is_pickle(path: Path) -> bool:
    if zipfile.is_zipfile(path):
        return True
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def _module_class(path: Path, wanted: str) -> Any:
    """The nn.Module class for the weights."""
    code = _code_beside(path)
    name = f"haizen_model_{code.stem}"
    module = _import_file(code, name)
    classes = {
        each: value
        for each, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == name
    }
    names = ", ".join(classes) or "none"
    if wanted:
        if wanted not in classes:
            raise ModelLoadFailed(f"{code.name} has no nn.Module class {wanted[:80]}; it has {names}.")
        return classes[wanted]
    if len(classes) != 1:
        raise ModelLoadFailed(f"{code.name} has {len(classes)} nn.Module classes ({names}); name one by --model_class.")
    return next(iter(classes.values()))


def _import_file(code: Path, name: str) -> Any:
    """A file as a module, which may import the files beside it."""
    spec = importlib.util.spec_from_file_location(name, code)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    directory = str(code.parent)
    before = set(sys.modules)
    sys.path.insert(0, directory)
    try:
        sys.modules[name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(directory)
        # Another version of the model, or another model, has files of the same names.
        for each in set(sys.modules) - before:
            if (getattr(sys.modules[each], "__file__", None) or "").startswith(directory + os.sep):
                del sys.modules[each]
    return module


def _code_beside(path: Path) -> Path:
    files = sorted(path.parent.glob("*.py"))
    preferred = path.parent / "model.py"
    if preferred in files:
        return preferred
    if len(files) != 1:
        raise ModelLoadFailed(
            f"{path.name} holds weights only, and {len(files)} .py files lie beside it: expected model.py, or one "
            "file, with the model's class."
        )
    return files[0]
