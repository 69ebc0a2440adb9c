"""A real runtime that asks for API keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import SERVE, RuntimeProcess

INFERENCE, METRICS, ADMIN = "sk-inference-0123456789", "sk-metrics-0123456789", "sk-admin-0123456789"
KEYS = f"{INFERENCE} name=team-a\n{METRICS} scope=metrics name=prometheus\n{ADMIN} scope=admin name=ops\n"


@pytest.fixture(scope="session")
def guarded(iris_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeProcess]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(KEYS)
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", f"--api_keys_file={keys}",
         "--access_log=all", "--model_control_mode=explicit", "--health_route=/vertex/health",
         "--predict_route=/vertex/predict", "--enable_docs_url=true"], {},
    )  # fmt: skip
    try:
        runtime.wait_ready()
        yield runtime
    finally:
        runtime.stop()
