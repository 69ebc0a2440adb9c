"""A process whose model is replaced while clients of both doors keep asking, and versions of one model side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest

from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import PB, Client, infer_request, target_of

ROW = [5.1, 3.5, 1.4, 0.2]
BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW}]}


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory, iris_data: tuple[Any, Any]) -> dict[int, bytes]:
    """Files of models that all know irises, and call the first kind 0, 10 or 20."""
    from sklearn.linear_model import LogisticRegression

    features, labels = iris_data
    folder = tmp_path_factory.mktemp("labelled")
    for shift in (0, 10, 20):
        joblib.dump(LogisticRegression(max_iter=1000).fit(features, labels + shift), folder / f"{shift}")
    return {shift: (folder / f"{shift}").read_bytes() for shift in (0, 10, 20)}


def put(file: Path, content: bytes) -> None:
    """Replace a file, or bring a new folder with it, in one step, as whoever uploads a model should."""
    new = file.parent.with_name(".new")
    new.mkdir()
    (new / file.name).write_bytes(content)
    if file.parent.exists():
        (new / file.name).rename(file)
        new.rmdir()
    else:
        new.rename(file.parent)


def rest(client: httpx.Client, path: str = "/v2/models/iris/infer") -> int:
    response = client.post(path, json=BODY)
    assert response.status_code == 200, response.text
    return int(response.json()["outputs"][0]["data"][0])


@contextmanager
def asked_all_the_time(runtime: RuntimeProcess) -> Iterator[list[int]]:
    """Clients of both doors in the background; gives what they are told. Fails when one of them is told an error."""
    answers: list[int] = []
    stop = threading.Event()

    def over_rest() -> None:
        with httpx.Client(base_url=runtime.url, timeout=60) as client:
            while not stop.is_set():
                answers.append(rest(client))

    def over_grpc() -> None:
        client = Client(target_of(runtime))
        try:
            while not stop.is_set():
                response = client.call("ModelInfer", infer_request("iris", "FP64", np.array([ROW])))
                answers.append(int(np.frombuffer(response.raw_output_contents[0], np.int64)[0]))
        finally:
            client.channel.close()

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(each) for each in (over_rest, over_rest, over_grpc, over_grpc)]
        try:
            yield answers
        finally:
            stop.set()
        for each in clients:
            each.result()


def told(answers: list[int], number: int) -> None:
    """Wait until everybody gets this answer."""
    del answers[:]
    wait_for(lambda: len(answers) > 40 and set(answers[-20:]) == {number}, lambda: str(set(answers)))


def test_reloads_under_traffic(
    tmp_path: Path, labelled: dict[int, bytes], start_runtime: Callable[..., RuntimeProcess]
) -> None:
    file = tmp_path / "model.joblib"
    put(file, labelled[0])
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={tmp_path}", "--allow_code", "--model_control_mode=explicit"
    )
    runtime.wait_ready()
    grpc = Client(target_of(runtime))
    with asked_all_the_time(runtime) as answers, httpx.Client(base_url=runtime.url, timeout=60) as client:
        told(answers, 0)
        put(file, labelled[10])
        loaded = client.post("/v2/repository/models/iris/load")
        assert (loaded.status_code, loaded.json()) == (200, {"name": "iris", "load": True})
        told(answers, 10)

        put(file, b"garbage")
        refused = client.post("/v2/repository/models/iris/load")
        assert refused.status_code == 500
        assert "the former one goes on serving: model.joblib cannot be loaded as sklearn" in refused.json()["error"]
        (line,) = client.post("/v2/repository/index").json()
        assert (line["state"], "cannot be loaded as sklearn" in line["reason"]) == ("READY", True)
        assert client.get("/v2/health/ready").status_code == 200
        told(answers, 10)

        put(file, labelled[20])
        grpc.call("RepositoryModelLoad", PB.RepositoryModelLoadRequest(repository_name="iris"))
        told(answers, 20)
        text = client.get("/metrics").text
        assert 'haizen_model_loads_total{model_name="iris",result="ok"} 3.0' in text
        assert 'haizen_model_loads_total{model_name="iris",result="failed"} 1.0' in text
    grpc.channel.close()
    assert "Traceback" not in runtime.log


def test_new_versions_are_noticed(
    tmp_path: Path, labelled: dict[int, bytes], start_runtime: Callable[..., RuntimeProcess]
) -> None:
    put(tmp_path / "1/model.joblib", labelled[0])
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={tmp_path}", "--allow_code", "--repository_poll_seconds=0.05"
    )
    runtime.wait_ready()
    with asked_all_the_time(runtime) as answers, httpx.Client(base_url=runtime.url, timeout=60) as client:
        told(answers, 0)
        put(tmp_path / "2/model.joblib", labelled[10])
        told(answers, 10)
        assert client.post("/v2/models/iris/infer", json=BODY).json()["model_version"] == "2"
        assert client.post("/v2/models/iris/versions/1/infer", json=BODY).status_code == 404
        put(tmp_path / "3/model.joblib", b"garbage")
        wait_for(lambda: "could not be reloaded, the former one goes on serving" in runtime.log, runtime.describe)
        told(answers, 10)
    assert runtime.log.count("could not be reloaded") == 1


def test_versions_side_by_side(
    tmp_path: Path, labelled: dict[int, bytes], start_runtime: Callable[..., RuntimeProcess]
) -> None:
    for version, shift in ((1, 0), (2, 10), (3, 20)):
        put(tmp_path / f"{version}/model.joblib", labelled[shift])
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={tmp_path}", "--allow_code", "--version_policy=specific:1,3"
    )
    runtime.wait_ready()
    with httpx.Client(base_url=runtime.url, timeout=60) as client:
        assert rest(client) == 20
        assert [rest(client, f"/v2/models/iris/versions/{version}/infer") for version in (1, 3)] == [0, 20]
        assert client.get("/v2/models/iris").json()["versions"] == ["1", "3"]
        missing = client.post("/v2/models/iris/versions/2/infer", json=BODY)
        assert (missing.status_code, "the versions it has: 1, 3" in missing.text) == (404, True)
        v1 = client.post("/v1/models/iris/versions/1:predict", json={"instances": [ROW]})
        assert v1.json() == {"predictions": [0]}
        text = client.get("/metrics").text
        samples = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
        assert len(samples) == len(set(samples))
        assert 'haizen_requests_total{code="200",door="v2",model_name="iris"} 3.0' in text
    grpc = Client(target_of(runtime))
    old = grpc.call("ModelInfer", infer_request("iris", "FP64", np.array([ROW]), model_version="1"))
    assert np.frombuffer(old.raw_output_contents[0], np.int64).tolist() == [0]
    grpc.channel.close()
