from collections.abc import Iterator

import pytest

from haizen_runtime.storage import Limits
from tests.runtime.storage.faulty_server import FaultyServer, faulty_server


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as running:
        yield running


@pytest.fixture
def quick() -> Limits:
    """Small parts and short waits, so that faults are met within a test's time; but a busy machine is no fault."""
    return Limits(
        concurrency=4,
        part_bytes=64 * 1024,
        attempts=4,
        backoff_seconds=0.01,
        backoff_cap_seconds=0.05,
    )
