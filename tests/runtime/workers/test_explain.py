"""KServe's v1 explain, for model code and for models that have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

CODE = """
import asyncio, os
import numpy as np
from haizen_runtime import InvalidInput, Model

class Code(Model):
    async def preprocess(self, inputs):
        await asyncio.sleep(0)
        return inputs["instances"] + 1

    def predict(self, rows):
        return rows

    def postprocess(self, outputs):
        return {"predictions": outputs * 100}

    async def explain(self, rows):
        await asyncio.sleep(0)
        word = rows[0][0]
        if word == 401:
            raise InvalidInput("no such thing")
        if word == 501:
            os._exit(9)
        if word == 601:
            await asyncio.sleep(3600)
        if word == 2:
            return {"explanations": [{"why": np.float32(0.5), "weights": rows}], "method": "weights"}
        return rows / 2
"""


def test_explanations_beside_predictions(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE, "--worker_timeout_seconds=5", "--workers=2")
    url = f"{runtime.url}/v1/models/code"

    def explain(*row: float, path: str = url) -> httpx.Response:
        return httpx.post(f"{path}:explain", json={"instances": [row]}, timeout=60)

    assert explain(3, 5).json() == {"explanations": [[2.0, 3.0]]}
    assert explain(3, 5, path=f"{url}/versions/1").json() == {"explanations": [[2.0, 3.0]]}
    assert explain(1, 4).json() == {"explanations": [{"why": 0.5, "weights": [[2, 5]]}], "method": "weights"}
    assert httpx.post(f"{url}:predict", json={"instances": [[1, 4]]}).json() == {"predictions": [[200, 500]]}
    for word, status, says in ((400, 400, "no such thing"), (500, 503, "exit code 9"), (600, 504, "within 5 s")):
        answer = explain(word)
        assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    late = httpx.post(
        f"{url}:explain", json={"instances": [[600]]}, headers={"x-envoy-expected-rq-timeout-ms": "500"}, timeout=60
    )
    assert (late.status_code, late.json()["error"]) == (504, "The request was not answered before its deadline.")
    assert httpx.get(f"{url}:explain").status_code == 405
    metrics = httpx.get(f"{runtime.url}/metrics").text
    assert 'request_explain_seconds_count{model_name="code"} 3.0' in metrics
    assert 'request_predict_seconds_count{model_name="code"} 1.0' in metrics
    assert 'haizen_requests_total{code="504",door="v1",model_name="code"} 2.0' in metrics


def test_bodies_as_they_are(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(
        """
        class Code:
            takes_json = True
            def predict(self, body):
                return body
            def explain(self, body):
                return {"of": body}
        """
    )
    body = {"instances": [{"a": [[], None]}], "target": "a"}
    assert httpx.post(f"{runtime.url}/v1/models/code:explain", json=body).json() == {"of": body}


def test_models_without_explain_answer_as_kserves_do(iris_runtime: Any, serve_code: Callable[..., Any]) -> None:
    runtime = serve_code("class Code:\n  def predict(self, inputs):\n    raise NotImplementedError('later')\n")
    for url in (f"{iris_runtime.url}/v1/models/iris", f"{runtime.url}/v1/models/code"):
        answer = httpx.post(f"{url}:explain", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
        assert answer.status_code == 501
        assert answer.json()["error"].startswith("Could not find explainer_host.")
    missing = httpx.post(f"{runtime.url}/v1/models/code:predict", json={"instances": [1]})
    assert (missing.status_code, missing.json()) == (501, {"error": "later"})
    assert httpx.post(f"{iris_runtime.url}/v1/models/rose:explain", json={"instances": [1]}).status_code == 404
