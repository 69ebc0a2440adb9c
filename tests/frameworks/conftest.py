"""Real networks on scikit-learn's digits, and runtime processes to serve them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.runtime.conftest import start_program, start_runtime

__all__ = ["start_program", "start_runtime"]

IMPORT_SECONDS = 600
"""How long a process may take to import a framework, from a cold disk and beside other work."""


@pytest.fixture(scope="session")
def digits() -> tuple[Any, Any]:
    """Pixels from 0 to 1, float32 of shape [1797, 64], and labels."""
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    return (features / 16).astype(np.float32), labels
