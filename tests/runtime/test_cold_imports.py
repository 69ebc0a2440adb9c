"""What a server that uses none of it never imports: a cold start pays for nothing that is off."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import haizen_runtime.main, haizen_runtime.serving, haizen_runtime.startup, haizen_runtime.doors.grpc.app
import haizen_runtime.doors.http.inference, haizen_runtime.doors.http.repository, haizen_runtime.engine.batches
print(*sorted(name for name in sys.modules if name.startswith("haizen_runtime")))
"""


@pytest.mark.parametrize(
    "module", ["haizen_runtime.processes", "haizen_runtime.engine.polling", "haizen_runtime.workers"]
)
def test_is_not_imported(module: str) -> None:
    listed = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout.split()
    assert "haizen_runtime.serving" in listed
    assert [name for name in listed if name == module or name.startswith(f"{module}.")] == []
