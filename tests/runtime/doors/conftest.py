"""What the fuzz tests of all doors share: one client, and what every answer must keep to."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.runtime.conftest import RuntimeProcess


def fuzz(examples: int) -> settings:
    """Settings under which every run makes the same requests."""
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as session:
        yield session


def check(runtime: RuntimeProcess, response: httpx.Response) -> None:
    """No failure of the server, one shape of errors without internals, and the process lives."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        assert list(response.json()) == ["error"]
        assert "Traceback" not in response.text
    assert runtime.process.poll() is None, runtime.log
