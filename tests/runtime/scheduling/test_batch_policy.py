"""The batching policy: who runs with whom, in which order, and who leaves the queue."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.scheduling.policy import BatchPolicy, Expiry, Waiting


def waiting(item: Any, key: str = "k", rows: int = 1, arrived: float = 0.0, **more: Any) -> Waiting[Any]:
    return Waiting(item, key, rows, arrived, **more)


def taken(policy: BatchPolicy[Any], now: float) -> list[Any]:
    return [each.item for each in policy.take(now)]


@pytest.mark.parametrize(
    ("offered", "batches"),
    [
        pytest.param([waiting(1), waiting(2), waiting(3)], [[1, 2, 3]], id="together"),
        pytest.param([waiting(i) for i in range(6)], [[0, 1, 2, 3], [4, 5]], id="at-most-max-rows"),
        pytest.param([waiting(1, rows=3), waiting(2, rows=2)], [[1], [2]], id="rows-count"),
        pytest.param([waiting(1, rows=9), waiting(2)], [[1], [2]], id="too-large-runs-alone"),
        pytest.param([waiting(1), waiting(2, "other"), waiting(3)], [[1, 3], [2]], id="equal-keys-only"),
        pytest.param(
            [waiting(1, "a", arrived=2), waiting(2, "b", arrived=1)], [[2], [1]], id="the-oldest-key-first"
        ),
        pytest.param([waiting(1, priority=1), waiting(2, priority=0)], [[2], [1]], id="priority-first"),
    ],
)  # fmt: skip
def test_batches(offered: list[Waiting[Any]], batches: list[list[Any]]) -> None:
    policy: BatchPolicy[Any] = BatchPolicy(4, 0.0, 100)
    assert all(policy.offer(each) for each in offered)
    assert [taken(policy, 10.0) for _ in batches] == batches
    assert taken(policy, 10.0) == []
    assert len(policy) == 0


def test_a_full_queue_refuses() -> None:
    policy: BatchPolicy[Any] = BatchPolicy(4, 0.0, 2)
    assert [policy.offer(waiting(i)) for i in range(3)] == [True, True, False]
    policy.take(0.0)
    assert policy.offer(waiting(4))


def test_waits_for_company_no_longer_than_allowed() -> None:
    policy: BatchPolicy[Any] = BatchPolicy(4, 0.5, 100)
    policy.offer(waiting(1, arrived=1.0))
    assert taken(policy, 1.4) == []
    assert policy.next_due() == 1.5
    policy.offer(waiting(2, arrived=1.4))
    assert taken(policy, 1.5) == [1, 2]
    assert policy.next_due() is None


def test_a_full_batch_does_not_wait() -> None:
    policy: BatchPolicy[Any] = BatchPolicy(2, 10.0, 100)
    for item in (1, 2, 3):
        policy.offer(waiting(item))
    assert taken(policy, 0.0) == [1, 2]
    assert taken(policy, 0.0) == []


def test_expires_what_nobody_waits_for() -> None:
    policy: BatchPolicy[Any] = BatchPolicy(4, 0.0, 100)
    policy.offer(waiting("late", deadline=1.0))
    policy.offer(waiting("gone", is_cancelled=lambda: True))
    policy.offer(waiting("here", deadline=5.0, is_cancelled=lambda: False))
    assert [(each.item, why) for each, why in policy.expire(1.0)] == [
        ("late", Expiry.DEADLINE), ("gone", Expiry.CANCELLED),
    ]  # fmt: skip
    assert taken(policy, 1.0) == ["here"]


@pytest.mark.parametrize("limits", [(0, 0.0, 1), (1, -1.0, 1), (1, 0.0, 0)])
def test_refuses_senseless_limits(limits: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        BatchPolicy(*limits)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from("ab"), st.integers(1, 6), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("take")),
        st.tuples(st.just("expire")),
        st.tuples(st.just("pass"), st.floats(0, 2)),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 8), st.sampled_from([0.0, 1.0]), st.integers(1, 10))
def test_every_request_leaves_exactly_once(script: Any, max_rows: int, delay: float, limit: int) -> None:
    policy: BatchPolicy[int] = BatchPolicy(max_rows, delay, limit)
    now, offered, left = 0.0, set(), []
    for number, step in enumerate(script):
        if step[0] == "offer":
            _, key, rows, priority, life = step
            before = len(policy)
            if policy.offer(Waiting(number, key, rows, now, now + life, priority)):
                offered.add(number)
            else:
                assert before == limit
        elif step[0] == "take":
            batch = policy.take(now)
            assert len({(each.key, each.priority) for each in batch}) <= 1
            assert len(batch) <= 1 or sum(each.rows for each in batch) <= max_rows
            assert [each.item for each in batch] == sorted(each.item for each in batch)
            left += [each.item for each in batch]
        elif step[0] == "expire":
            left += [each.item for each, _ in policy.expire(now)]
            assert all(each.deadline is None or each.deadline > now for each in policy)
        else:
            now += step[1]
        assert len(policy) == len(list(policy)) <= limit
    now += 10.0
    while batch := policy.take(now):
        left += [each.item for each in batch]
    assert sorted(left) == sorted(offered)
