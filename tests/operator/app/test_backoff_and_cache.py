"""Pauses between tries, and answers that are kept for a while."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_operator.backoff import Backoff
from haizen_operator.cache import Cache


@pytest.mark.parametrize(
    ("failures", "expected"),
    [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (1000, 10.0)],
    ids=["first", "second", "third", "fourth", "capped", "no overflow"],
)
def test_delay_doubles_up_to_the_longest(failures: int, expected: float) -> None:
    assert Backoff(base_seconds=1.0, max_seconds=10.0, jitter=0.0).delay(failures, 0.7) == expected


@given(st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_delay_is_never_longer_than_the_longest_nor_shorter_than_half_of_it_all(failures: int, chance: float) -> None:
    backoff = Backoff(base_seconds=0.5, max_seconds=60.0, jitter=0.5)
    assert 0.25 <= backoff.delay(failures, chance) <= 60.0


class Source:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.fails = False

    async def read(self) -> int:
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails:
            raise RuntimeError("no")
        return self.reads


async def test_cache_asks_once_for_all_who_want_it_at_the_same_time() -> None:
    cache, source = Cache[int](ttl_seconds=60), Source()
    assert await asyncio.gather(*(cache.get("k", source.read) for _ in range(20))) == [1] * 20
    assert await cache.get("k", source.read) == 1
    assert await cache.get("other", source.read) == 2


async def test_cache_reads_anew_when_forgotten_or_too_old() -> None:
    now = 0.0
    cache, source = Cache[int](ttl_seconds=10, clock=lambda: now), Source()
    assert await cache.get("k", source.read) == 1
    cache.forget("k")
    assert await cache.get("k", source.read) == 2
    now = 11.0
    assert await cache.get("k", source.read) == 3
    cache.clear()
    assert await cache.get("k", source.read) == 4


async def test_cache_keeps_no_failure() -> None:
    cache, source = Cache[int](ttl_seconds=60), Source()
    source.fails = True
    with pytest.raises(RuntimeError):
        await cache.get("k", source.read)
    source.fails = False
    assert await cache.get("k", source.read) == 2
