"""`haizen validate`, `render`, `samples`, `version`: what they say and how they end."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cli.local_run import service_yaml

Haizen = Callable[..., tuple[int, str, str]]
SAMPLES = sorted((Path(__file__).parents[2] / "manifests" / "samples").glob("*.yaml"))

BAD = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: iris
spec:
  predictor:
    canaryTrafficPercent: 120
    model:
      modelFormat:
        name: sklearn
      storageUri: s3://b/iris
"""


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_valid_and_can_be_rendered(haizen: Haizen, sample: Path) -> None:
    assert haizen("validate", "-f", str(sample))[0] == 0
    code, out, _ = haizen("render", "-f", str(sample))
    assert code == 0
    (service,) = yaml.safe_load_all(out)
    assert (service["apiVersion"], service["kind"]) == ("serving.knative.dev/v1", "Service")
    assert service["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]


def test_validate_names_file_line_field_and_ends_with_1(haizen: Haizen, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    code, _, err = haizen("validate", "-f", str(file))
    assert code == 1
    assert f"{file}:7" in err
    assert "spec.predictor.canaryTrafficPercent" in err
    assert "0 to 100" in err


def test_validate_reads_standard_input_and_several_files(tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text(service_yaml("iris", "s3://b/iris"))
    command = [sys.executable, "-m", "haizen_cli.main", "validate", "-f", str(good), "-f", "-"]
    ended = subprocess.run(command, input=BAD, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "<stdin>:7" in ended.stderr
    assert str(good) not in ended.stderr


def test_an_object_given_twice_is_a_problem(haizen: Haizen, tmp_path: Path) -> None:
    one = service_yaml("iris", "s3://b/iris")
    file = tmp_path / "twice.yaml"
    file.write_text(f"{one}---\n{one}")
    code, _, err = haizen("validate", "-f", str(file))
    assert code == 1
    assert f"given twice; the first one is at {file}:1" in err


def test_other_kinds_are_named_and_left_alone(haizen: Haizen, tmp_path: Path) -> None:
    file = tmp_path / "mixed.yaml"
    file.write_text(
        service_yaml("iris", "s3://b/iris") + "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"
    )
    code, out, err = haizen("validate", "-f", str(file))
    assert code == 0
    assert "1 object checked" in out
    assert "Deployment d is not checked" in err


def test_render_says_which_runtime_and_why(haizen: Haizen, tmp_path: Path) -> None:
    file = tmp_path / "iris.yaml"
    file.write_text(service_yaml("iris", "s3://b/iris"))
    code, out, err = haizen("render", "-f", str(file))
    assert code == 0
    assert "ClusterServingRuntime haizen-sklearn, protocol v1" in err
    assert "it does not load sklearn" in err
    (service,) = yaml.safe_load_all(out)
    (container,) = service["spec"]["template"]["spec"]["containers"]
    assert "--model_name=iris" in container["args"]
    assert {"name": "STORAGE_URI", "value": "s3://b/iris"} in container["env"]


def test_render_uses_the_runtimes_of_the_file(haizen: Haizen, tmp_path: Path) -> None:
    """A ServingRuntime of the namespace comes before those of the cluster; --runtimes prints the built-in ones, too."""
    runtime = """\
---
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: mine, namespace: default}
spec:
  supportedModelFormats: [{name: sklearn, version: "1", autoSelect: true}]
  protocolVersions: [v1]
  containers: [{name: kserve-container, image: example.com/mine:1, args: ["--name={{.Name}}"]}]
"""
    file = tmp_path / "iris.yaml"
    file.write_text(service_yaml("iris", "s3://b/iris") + runtime)
    code, out, err = haizen("render", "-f", str(file), "--runtimes")
    assert code == 0
    assert "ServingRuntime mine" in err
    service, *builtin = yaml.safe_load_all(out)
    assert service["spec"]["template"]["spec"]["containers"][0]["args"] == ["--name=iris"]
    assert {"haizen-sklearn", "haizen-onnx"} <= {manifest["metadata"]["name"] for manifest in builtin}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(service_yaml("iris", "s3://b/i", format_name="cobol"), "NoSupportingRuntime", id="no runtime"),
        pytest.param(service_yaml("iris", "ftp://b/i"), "ftp://b/i", id="a scheme"),
        pytest.param(
            "kind: Secret\napiVersion: v1\nmetadata: {name: s}\n", "hold no InferenceService", id="no service"
        ),
        pytest.param("a: [", "not valid YAML", id="no YAML"),
        pytest.param(BAD, "canaryTrafficPercent", id="invalid"),
    ],
)
@pytest.mark.parametrize("command", ["render", "run"])
def test_what_cannot_be_is_said_without_a_traceback(
    haizen: Haizen, tmp_path: Path, text: str, message: str, command: str
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    code, out, err = haizen(command, "-f", str(file))
    assert code == 1
    assert message in err.replace("\n", " ")
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        ("containers: [{image: nginx}]", "the image 'nginx' is not haizen's runtime"),
        ("sklearn: {storageUri: pvc://claim/iris}", "pvc://claim is a volume of a cluster"),
    ],
)
def test_run_refuses_what_this_machine_has_not(haizen: Haizen, tmp_path: Path, predictor: str, message: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: iris}\n"
        f"spec:\n  predictor:\n    {predictor}\n"
    )
    code, _, err = haizen("run", "-f", str(file), "--port", "0")
    assert code == 1
    assert message in err
    assert str(file) in err


def test_a_port_in_use_is_said(haizen: Haizen, tmp_path: Path) -> None:

    file = tmp_path / "iris.yaml"
    file.write_text(service_yaml("iris", "s3://b/iris"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = haizen("run", "-f", str(file), "--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "--port 0 for any free one" in err


def test_samples_digits(haizen: Haizen, tmp_path: Path) -> None:
    import joblib
    import numpy
    import onnxruntime

    from haizen_cli.samples.digits import held_out_digits

    code, out, _ = haizen("samples", "digits", str(tmp_path))
    assert code == 0
    assert out.split() == [str(tmp_path / "sklearn/model.joblib"), str(tmp_path / "onnx/model.onnx")]
    rows, answers = held_out_digits()
    model = joblib.load(tmp_path / "sklearn/model.joblib")
    session = onnxruntime.InferenceSession(tmp_path / "onnx/model.onnx")
    ours = model.predict(rows).tolist()
    theirs = session.run(None, {"digits": numpy.array(rows, "float32")})[0].tolist()
    assert ours == theirs
    assert sum(a == b for a, b in zip(ours, answers, strict=True)) >= 90


@pytest.mark.parametrize("extra", ["transformer", "explainer"])
def test_what_is_not_built_yet_is_said(haizen: Haizen, tmp_path: Path, extra: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(service_yaml("iris", "s3://b/iris") + f"  {extra}:\n    containers: [{{image: t}}]\n")
    for command in ("render", "run"):
        code, _, err = haizen(command, "-f", str(file))
        assert code == 1
        assert f"{file}:12: NotSupportedYet: spec.{extra}" in err


def test_version(haizen: Haizen) -> None:
    code, out, _ = haizen("version")
    assert code == 0
    assert out.startswith("haizen 0.")
    assert "scikit-learn" in out


BLOCKER = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"kopf", "kubernetes"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
import haizen_cli.run.command, haizen_cli.render, haizen_cli.samples.digits
from haizen_cli.main import main
sys.argv = ["haizen", "render", "-q", "-f", sys.argv[1]]
main()
"""


def test_it_works_without_kopf_and_kubernetes(tmp_path: Path) -> None:
    file = tmp_path / "iris.yaml"
    file.write_text(service_yaml("iris", "s3://b/iris"))
    ended = subprocess.run([sys.executable, "-c", BLOCKER, str(file)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "iris-predictor" in ended.stdout
