"""The server keeps to its own OpenAPI document: requests are made from it, answers held against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import given
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from tests.runtime.conftest import SERVE, RuntimeProcess
from tests.runtime.doors.conftest import fuzz

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
]
NAMES = {"name": ["iris", "rose"], "version": ["1", "7"]}


@pytest.fixture(scope="module")
def documented(iris_dir: Path) -> Iterator[RuntimeProcess]:
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--enable_docs_url=true"],
        {"HAIZEN_MODEL_CONTROL_MODE": "explicit"},
    )
    try:
        runtime.wait_ready()
        yield runtime
        assert "Traceback" not in runtime.log
    finally:
        runtime.stop()


@pytest.fixture(scope="module")
def api(documented: RuntimeProcess) -> Any:
    document = httpx.get(documented.url + "/openapi.json", timeout=60).json()
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    parameter["schema"] = {"anyOf": [{"enum": NAMES[parameter["name"]]}, parameter["schema"]]}
    return schemathesis.openapi.from_dict(document)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_answers_are_as_documented(
    api: Any, documented: RuntimeProcess, subtests: pytest.Subtests, mode: GenerationMode
) -> None:
    """No failure but the documented ones, the documented content type and schema, and what is wrong is refused."""
    operations = [found.ok() for found in api.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:  # what has no body leaves nothing to be wrong: any text is a name
        operations = [operation for operation in operations if len(operation.body)]
    assert len(operations) > (5 if mode is GenerationMode.NEGATIVE else 20)

    session = requests.Session()

    def check(case: schemathesis.Case) -> None:
        response = case.call(base_url=documented.url, session=session, timeout=60)
        assert response.status_code < 500 or response.status_code in (501, 503, 504), response.text
        assert documented.process.poll() is None, documented.log
        case.validate_response(response, checks=CHECKS)

    for operation in operations:
        with subtests.test(operation.label):
            httpx.post(documented.url + "/v2/repository/models/iris/load", timeout=60).raise_for_status()
            fuzz(8)(given(operation.as_strategy(generation_mode=mode))(check))()
    session.close()
