"""`haizen run`, with real processes: what a user sees and gets."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import joblib
import numpy as np
import pytest

from e2e import grpc_client
from tests.cli.local_run import Load, LocalRun, descendants, digit_rows, is_alive, service_yaml, wait_until

PREDICT = "/v1/models/digits:predict"
SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_the_sample_is_trained_served_and_ended(tmp_path: Path, cache: Path) -> None:
    """The main job: the curl line works when pasted, and Ctrl-C leaves nothing behind."""
    file = tmp_path / "digits.yaml"
    file.write_text((SAMPLES / "digits.yaml").read_text())
    with LocalRun(file, cache=cache) as run:
        run.wait_served()
        curl = next(line for line in run.lines if line.startswith("curl"))
        digit = int(run.wait_for(r"a handwritten (\d)")[1])
        pasted = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
        assert json.loads(pasted.stdout) == {"predictions": [digit]}

        model = joblib.load(tmp_path / "models/digits/sklearn/model.joblib")
        rows = list(digit_rows(100))
        status, headers, answer = run.ask(PREDICT, {"instances": rows})
        assert status == 200
        assert answer["predictions"] == model.predict(rows).tolist()
        assert headers["haizen-revision"] == "digits-predictor-00001"

        rows = np.array(list(digit_rows(100)))
        request = grpc_client.infer_request("digits", "input-0", "FP64", rows)
        response = grpc_client.infer(urlsplit(run.gateway).netloc, "digits.default.localhost", request)
        classes = np.frombuffer(grpc_client.raw_outputs(response)[0], dtype=np.int64)
        assert classes.tolist() == answer["predictions"]

        children = descendants(run.process.pid)
        assert children
        assert run.interrupt() == 0
        assert not [pid for pid in children if is_alive(pid)]
        assert "Traceback" not in run.output


def test_two_services_are_told_apart_by_host_and_by_path(tmp_path: Path, cache: Path, models: Path) -> None:
    file = tmp_path / "two.yaml"
    uri = models / "sklearn"
    file.write_text(service_yaml("one", uri) + "---\n" + service_yaml("two", uri, namespace="team"))
    row = {"instances": list(digit_rows(1))}
    with LocalRun(file, cache=cache) as run:
        run.wait_served()
        for host, path, revision in [
            ("one.default.localhost", "/v1/models/one:predict", "one-predictor-00001"),
            ("two-predictor.team.example.com", "/v1/models/two:predict", "two-predictor-00001"),
            (None, "/serving/team/two/v1/models/two:predict", "two-predictor-00001"),
            (None, "/v1/models/one:predict", "one-predictor-00001"),
        ]:
            status, headers, _ = run.ask(path, row, host=host)
            assert (status, headers["haizen-revision"]) == (200, revision)
        status, _, answer = run.ask("/v2/health/ready")
        assert status == 404
        assert "one.default.localhost" in answer["error"]

        # One of them goes; the other one has the gateway for itself.
        before = descendants(run.process.pid)
        file.write_text(service_yaml("one", uri))
        run.wait_for("team/two: removed")
        assert len([pid for pid in before if is_alive(pid)]) == len(before) - 1
        assert run.ask("/v1/models/two:predict", row, host="two.team.localhost")[0] == 404
        assert run.ask("/v2/health/ready")[0] == 200


def test_an_edit_rolls_over_without_a_lost_request(tmp_path: Path, cache: Path, models: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(service_yaml("digits", models / "sklearn"))
    with LocalRun(file, cache=cache) as run:
        run.wait_served()
        first = descendants(run.process.pid)
        with Load(run, PREDICT, {"instances": list(digit_rows(1))}) as load:
            load.wait_for_answers(50)
            file.write_text(service_yaml("digits", models / "sklearn", extra="    labels: {edited: 'yes'}\n"))
            run.wait_for("digits-predictor-00002: ready")
            run.wait_for("digits-predictor-00001: stopped")
            load.wait_for_answers(50)
        assert load.errors == []
        assert set(load.statuses) == {200}
        assert set(load.revisions) == {"digits-predictor-00001", "digits-predictor-00002"}
        assert run.ask(PREDICT, {"instances": list(digit_rows(1))})[1]["haizen-revision"] == "digits-predictor-00002"
        assert not [pid for pid in first if is_alive(pid)]


BAD_EDITS = {
    "emptied, as it is by programs that are about to write it": ("", r"digits\.yaml: is empty"),
    "not YAML": ("metadata: [", r"digits\.yaml:1.*not valid YAML"),
    "a wrong percent": (
        service_yaml("digits", "x", extra="    canaryTrafficPercent: 101\n"),
        r"spec\.predictor\.canaryTrafficPercent",
    ),
    "no such format": (service_yaml("digits", "x", format_name="cobol"), "NoSupportingRuntime"),
    "a volume of a cluster": (service_yaml("digits", "pvc://claim/model"), "pvc://claim is a volume of a cluster"),
}


def test_bad_edits_keep_the_old_one_serving(tmp_path: Path, cache: Path, models: Path) -> None:
    """Each bad edit is explained, the model that cannot be loaded included, and a good one heals."""
    file = tmp_path / "digits.yaml"
    good = service_yaml("digits", models / "sklearn")
    file.write_text(good)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.joblib").write_bytes(b"not a model")
    with LocalRun(file, cache=cache) as run:
        run.wait_served()
        with Load(run, PREDICT, {"instances": list(digit_rows(1))}) as load:
            for edit, explained in BAD_EDITS.values():
                file.write_text(edit)
                run.wait_for(explained)
                load.wait_for_answers(10)
            file.write_text(service_yaml("digits", broken))
            run.wait_for("digits-predictor-00002: failed: ModelLoadFailed")
            load.wait_for_answers(10)
            file.write_text(service_yaml("digits", models / "sklearn", extra="    labels: {edited: 'yes'}\n"))
            run.wait_for("digits-predictor-00003: ready")
            run.wait_for("digits-predictor-00002: stopped")
            load.wait_for_answers(10)
        assert load.errors == []
        assert set(load.statuses) == {200}
        assert set(load.revisions) == {"digits-predictor-00001", "digits-predictor-00003"}
        assert "Traceback" not in re.sub(r"digits-predictor-00002.*", "", run.output)


def test_a_process_that_dies_is_started_again(tmp_path: Path, cache: Path, models: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(service_yaml("digits", models / "sklearn"))
    with LocalRun(file, cache=cache) as run:
        run.wait_served()
        (runtime,) = descendants(run.process.pid)
        os.kill(runtime, signal.SIGKILL)
        wait_until(lambda: not is_alive(runtime), "the end of the runtime")
        # Held until the process is back, as Knative's activator does.
        assert run.ask(PREDICT, {"instances": list(digit_rows(1))})[0] == 200
        run.wait_for("went down: Killed: the process was ended by SIGKILL")


def test_nothing_survives_a_killed_command_line(tmp_path: Path, cache: Path, models: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(service_yaml("digits", models / "sklearn"))
    with LocalRun(file, cache=cache) as run:
        run.wait_served()
        children = descendants(run.process.pid)
        run.process.kill()
        wait_until(lambda: not [pid for pid in children if is_alive(pid)], "the end of the children")
