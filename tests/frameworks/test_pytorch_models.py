"""PyTorch models answer what PyTorch answers, whichever way they were saved, and run no code that was not allowed."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.engine.batches import run_batch
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed, RequestError, UntrustedFormat
from haizen_runtime.protocol.messages import InferenceRequest, Tensor
from tests.frameworks import digits_net
from tests.frameworks.conftest import IMPORT_SECONDS
from tests.frameworks.digits_net import Digits

TRUSTED = LoadOptions(allow_code=True, device="cpu")
MERGING = LoadOptions(allow_code=True, device="cpu", assume_batch_axis=True)
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
"""Batches of other sizes take other kernels: sums in another order."""

DIGITS_CODE = Path(digits_net.__file__).read_text()


class TwoInputs(torch.nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": left + right, "difference": left - right}


class Marks:
    """Its pickle writes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture(scope="session")
def net(digits: tuple[Any, Any]) -> Any:
    torch.manual_seed(0)
    model = Digits()
    pixels, labels = torch.from_numpy(digits[0]), torch.from_numpy(digits[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.nll_loss(torch.log(model(pixels)), labels).backward()
        optimizer.step()
    model.eval()
    assert (model(pixels).argmax(1) == labels).float().mean() > 0.9
    return model


def save_script(module: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(module).save(str(path))


def save_trace(module: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, torch.zeros(2, 64)).save(str(path))


def save_exported(module: Any, path: Path) -> None:
    batch = torch.export.Dim("batch")
    torch.export.save(torch.export.export(module, (torch.zeros(2, 64),), dynamic_shapes=({0: batch},)), path)


def save_weights(module: Any, path: Path) -> None:
    torch.save(module.state_dict(), path)
    (path.parent / "model.py").write_text(DIGITS_CODE)


def save_checkpoint(module: Any, path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": module.state_dict()}, path)
    (path.parent / "net.py").write_text("from layers import *\n\nclass Net(Digits):\n    pass\n")
    (path.parent / "layers").mkdir()
    (path.parent / "layers" / "__init__.py").write_text(DIGITS_CODE)


KINDS = [
    pytest.param(save_script, "model.pt", "pixels", id="torchscript"),
    pytest.param(save_trace, "model.jit", "pixels", id="traced"),
    pytest.param(save_exported, "model.pt2", "pixels", id="exported"),
    pytest.param(save_weights, "model.pth", "pixels", id="state-dict"),
    pytest.param(save_checkpoint, "model.pt", "pixels", id="checkpoint"),
]


@pytest.mark.parametrize(("save", "name", "argument"), KINDS)
def test_answers_what_pytorch_answers(
    tmp_path: Path, net: Any, digits: tuple[Any, Any], save: Callable[[Any, Path], None], name: str, argument: str
) -> None:
    save(net, tmp_path / name)
    backend = load_backend(tmp_path, "pytorch", TRUSTED)
    assert [tensor.name for tensor in backend.metadata.inputs] == [argument]
    assert [tensor.name for tensor in backend.metadata.outputs] == ["OUTPUT__0"]
    with torch.inference_mode():
        expected = net(torch.from_numpy(digits[0])).numpy()
    answer = backend.execute({argument: digits[0]}, None)
    np.testing.assert_allclose(answer["OUTPUT__0"], expected, **TOLERANCE)
    if save is not save_exported:  # of an exported program, the datatype is checked before
        doubles = backend.execute({"INPUT__0": digits[0].astype(np.float64)}, ["OUTPUT__0"])
        np.testing.assert_allclose(doubles["OUTPUT__0"], expected, **TOLERANCE)


@pytest.mark.parametrize(
    ("save", "name", "options", "merges"),
    [
        pytest.param(save_exported, "model.pt2", TRUSTED, True, id="exported-says-so"),
        pytest.param(save_script, "model.pt", TRUSTED, False, id="torchscript-does-not"),
        pytest.param(save_script, "model.pt", MERGING, True, id="torchscript-by-setting"),
        pytest.param(save_weights, "model.pt", MERGING, True, id="state-dict-by-setting"),
    ],
)
def test_merges_rows_that_are_independent(
    tmp_path: Path, net: Any, digits: tuple[Any, Any], save: Callable[[Any, Path], None], name: str,
    options: LoadOptions, merges: bool,
) -> None:  # fmt: skip
    save(net, tmp_path / name)
    backend = load_backend(tmp_path, "pytorch", options)
    assert backend.batchable == merges
    requests = [
        InferenceRequest("m", [Tensor("pixels", "FP32", (rows.shape[0], 64), rows)])
        for rows in (digits[0][:3], digits[0][3:4])
    ]
    answers = run_batch(backend, requests, "1")
    with torch.inference_mode():
        expected = net(torch.from_numpy(digits[0][:4])).numpy()
    for answer, part in zip(answers, (expected[:3], expected[3:]), strict=True):
        assert not isinstance(answer, Exception)
        np.testing.assert_allclose(answer.outputs[0].data, part, **TOLERANCE)


def test_an_exported_program_says_what_it_takes(tmp_path: Path, net: Any) -> None:
    save_exported(net, tmp_path / "model.pt2")
    backend = load_backend(tmp_path, None, TRUSTED)
    (pixels,), (out,) = backend.metadata.inputs, backend.metadata.outputs
    assert (pixels.datatype, pixels.shape) == ("FP32", (-1, 64))
    assert (out.datatype, out.shape) == ("FP32", (-1, 10))
    sample = backend.sample(3)
    assert sample is not None
    assert backend.execute(sample, None)["OUTPUT__0"].shape == (3, 10)


def test_named_arguments_and_bf16_of_an_exported_program(tmp_path: Path) -> None:
    left, right = torch.ones(2, 3), torch.full((2, 3), 2.0)
    arguments = {"left": left.bfloat16(), "right": right.bfloat16()}
    torch.export.save(torch.export.export(TwoInputs(), (), arguments), tmp_path / "model.pt2")
    backend = load_backend(tmp_path, None, TRUSTED)
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.inputs] == [
        ("left", "BF16", (2, 3)), ("right", "BF16", (2, 3)),
    ]  # fmt: skip
    assert [t.name for t in backend.metadata.outputs] == ["sum", "difference"]
    assert not backend.batchable
    answer = backend.execute({"right": right.numpy(), "left": left.numpy()}, ["difference"])
    np.testing.assert_array_equal(answer["difference"], np.full((2, 3), -1, np.float32))


@pytest.mark.parametrize(
    "names",
    [pytest.param(("left", "right"), id="arguments"), pytest.param(("INPUT__0", "INPUT__1"), id="triton")],
)
def test_several_inputs_of_torchscript(tmp_path: Path, names: tuple[str, str]) -> None:
    save_script(TwoInputs(), tmp_path / "model.pt")
    backend = load_backend(tmp_path, None, TRUSTED)
    answer = backend.execute({names[1]: np.full((1, 2), 2.0), names[0]: np.ones((1, 2))}, None)
    np.testing.assert_array_equal(answer["sum"], [[3, 3]])
    np.testing.assert_array_equal(answer["difference"], [[-1, -1]])


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        pytest.param({"left": np.ones((1, 2))}, None, '"right" is missing', id="missing"),
        pytest.param({"left": np.ones((1, 2)), "wrong": np.ones((1, 2))}, None, '"wrong" does not exist', id="name"),
        pytest.param({"left": np.ones((1, 2)), "right": np.ones((1, 3))}, None, "must match the size", id="shape"),
        pytest.param({"left": np.ones((1, 2)), "right": np.array([[b"a"]], object)}, None, "not BYTES", id="bytes"),
        pytest.param({"left": np.ones((1, 2)), "right": np.ones((1, 2))}, ["product"], '"product" does not exist',
                     id="output"),
    ],
)  # fmt: skip
def test_wrong_input_is_the_clients_fault(
    tmp_path: Path, inputs: dict[str, Any], outputs: list[str] | None, says: str
) -> None:
    save_script(TwoInputs(), tmp_path / "model.pt")
    backend = load_backend(tmp_path, None, TRUSTED)
    with pytest.raises(InvalidInput, match=says):
        backend.execute(inputs, outputs)


def test_bytes_of_a_request_are_neither_changed_nor_warned_about(tmp_path: Path) -> None:
    class InPlace(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mul_(2)

    save_script(InPlace(), tmp_path / "model.pt")
    body = np.ones(4, np.float32).tobytes()
    backend = load_backend(tmp_path, None, TRUSTED)
    answer = backend.execute({"x": np.frombuffer(body, np.float32).reshape(1, 4)}, None)
    np.testing.assert_array_equal(answer["OUTPUT__0"], [[2, 2, 2, 2]])
    assert body == np.ones(4, np.float32).tobytes()


@pytest.mark.parametrize(("save", "name", "argument"), KINDS)
def test_every_kind_needs_permission(
    tmp_path: Path, net: Any, save: Callable[[Any, Path], None], name: str, argument: str
) -> None:
    save(net, tmp_path / name)
    with pytest.raises(UntrustedFormat, match="--allow_code"):
        load_backend(tmp_path, "pytorch", LoadOptions())


def pickle_of(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def exported_with(content: Any, path: Path) -> None:
    """An exported program whose sample inputs are a pickle of something else."""
    save_exported(Digits().eval(), path)
    torch.save(content, path.with_suffix(".inner"))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            inner = path.with_suffix(".inner").read_bytes() if "sample_inputs" in name else data
            archive.writestr(name, inner)


@pytest.mark.parametrize(
    ("save", "name"),
    [
        pytest.param(pickle_of, "model.pt", id="pickle"),
        pytest.param(torch.save, "model.pth", id="archive"),
        pytest.param(exported_with, "model.pt2", id="exported"),
    ],
)
def test_a_pickle_that_runs_code_is_refused_though_code_is_allowed(
    tmp_path: Path, save: Callable[[Any, Path], None], name: str
) -> None:
    marker = tmp_path / "marker"
    save(Marks(marker), tmp_path / name)
    (tmp_path / "net.py").write_text(DIGITS_CODE)
    with pytest.raises(UntrustedFormat, match="is a pickle"):
        load_backend(tmp_path, None, TRUSTED)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.jit", "model.pt2"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"nonsense", "cut"])
def test_a_broken_file_is_a_clear_error(tmp_path: Path, net: Any, name: str, content: bytes | str) -> None:
    if isinstance(content, str):
        (save_exported if name == "model.pt2" else save_script)(net, tmp_path / name)
        content = (tmp_path / name).read_bytes()[:2000]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelLoadFailed, match=name.replace(".", r"\.")):
        load_backend(tmp_path, None, TRUSTED)


@pytest.mark.parametrize(
    ("files", "options", "says"),
    [
        pytest.param({}, TRUSTED, "0 .py files", id="no-class"),
        pytest.param({"a.py": "", "b.py": ""}, TRUSTED, "2 .py files", id="two-files"),
        pytest.param({"model.py": "x = 1"}, TRUSTED, "0 nn.Module classes", id="no-module"),
        pytest.param({"model.py": DIGITS_CODE + "\nclass B(Digits): pass"}, TRUSTED, "--model_class", id="two-classes"),
        pytest.param({"model.py": DIGITS_CODE}, LoadOptions(allow_code=True, model_class="X"), "it has Digits",
                     id="other-class"),
        pytest.param({"model.py": "raise OSError('no disk')"}, TRUSTED, "no disk", id="code-fails"),
        pytest.param({"model.py": "import torch\nclass A(torch.nn.Linear):\n  def __init__(s): super().__init__(1, 1)"},
                     TRUSTED, "Error.* in loading state_dict for A", id="other-weights"),
    ],
)  # fmt: skip
def test_weights_need_their_class(
    tmp_path: Path, net: Any, files: dict[str, str], options: LoadOptions, says: str
) -> None:
    torch.save(net.state_dict(), tmp_path / "model.pt")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelLoadFailed, match=says):
        load_backend(tmp_path, "pytorch", options)


def test_a_class_of_several_is_named_by_a_setting(tmp_path: Path, net: Any) -> None:
    save_weights(net, tmp_path / "model.pt")
    (tmp_path / "model.py").write_text(DIGITS_CODE + "\nclass Other(torch.nn.Module):\n    pass\n")
    options = LoadOptions(allow_code=True, model_class="Digits")
    assert load_backend(tmp_path, "pytorch", options).metadata.platform == "pytorch"


def test_a_gpu_that_is_not_there(tmp_path: Path, net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    save_script(net, tmp_path / "model.pt")
    with pytest.raises(ModelLoadFailed, match="--device=cuda"):
        load_backend(tmp_path, None, LoadOptions(allow_code=True, device="cuda"))


def test_answers_other_than_tensors_are_the_models_fault(tmp_path: Path) -> None:
    class Number(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> int:
            return x.size(0)

    save_script(Number(), tmp_path / "model.pt")
    with pytest.raises(RequestError, match="answered a int") as caught:
        load_backend(tmp_path, None, TRUSTED).execute({"x": np.ones(2)}, None)
    assert caught.value.status == 500


@pytest.mark.parametrize(
    ("save", "name"),
    [pytest.param(save_script, "model.pt", id="torchscript"), pytest.param(save_exported, "model.pt2", id="exported")],
)
def test_through_a_process(
    tmp_path: Path, net: Any, digits: tuple[Any, Any], start_runtime: Callable[..., Any],
    save: Callable[[Any, Path], None], name: str,
) -> None:  # fmt: skip
    save(net, tmp_path / name)
    runtime = start_runtime("--model_name=digits", f"--model_dir={tmp_path}", "--allow_code", "--device=cpu")
    runtime.wait_ready(IMPORT_SECONDS)
    rows = digits[0][:5]
    with torch.inference_mode():
        expected = net(torch.from_numpy(rows)).numpy()
    v1 = httpx.post(runtime.url + "/v1/models/digits:predict", json={"instances": rows.tolist()}, timeout=60)
    np.testing.assert_allclose(v1.json()["predictions"], expected, **TOLERANCE)
    tensor = {"name": "INPUT__0", "datatype": "FP32", "shape": [5, 64], "data": rows.ravel().tolist()}
    v2 = httpx.post(runtime.url + "/v2/models/digits/infer", json={"inputs": [tensor]}, timeout=60).json()
    assert v2["outputs"][0]["name"] == "OUTPUT__0"
    np.testing.assert_allclose(np.reshape(v2["outputs"][0]["data"], (5, 10)), expected, **TOLERANCE)
    narrow = {**tensor, "shape": [5, 63], "data": rows[:, :63].ravel().tolist()}
    assert httpx.post(runtime.url + "/v2/models/digits/infer", json={"inputs": [narrow]}).status_code == 400


def test_an_untrusted_pickle_ends_the_process_and_says_why(tmp_path: Path, start_runtime: Callable[..., Any]) -> None:
    log, models, marker = tmp_path / "log", tmp_path / "models", tmp_path / "marker"
    models.mkdir()
    torch.save(Marks(marker), models / "model.pt")
    runtime = start_runtime(f"--model_dir={models}", "--allow_code", HAIZEN_TERMINATION_LOG=str(log))
    assert runtime.wait_exit(IMPORT_SECONDS) == 5, runtime.log
    assert '"UntrustedFormat"' in log.read_text()
    assert not marker.exists()
