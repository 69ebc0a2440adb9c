"""Who gets the next connection, what each process may use, and how metrics add up."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.processes.peer import as_error, as_start_error
from haizen_runtime.processes.placing import Load, ranked, share
from haizen_runtime.processes.sums import kept, summed
from haizen_runtime.protocol.errors import ModelLoadFailed, ModelNotFound, RequestError, UntrustedFormat
from haizen_runtime.settings import Settings


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 40))
def test_connections_end_up_even(opened: list[int], count: int) -> None:
    loads = [Load(handed=number, received=number, opened=number, ready=True) for number in opened]
    for _ in range(count):
        ranked(loads)[0].handed += 1
    if sum(opened) + count >= len(loads) * max(opened):
        assert max(load.connections for load in loads) - min(load.connections for load in loads) <= 1
    assert sum(load.connections for load in loads) == sum(opened) + count


def test_short_connections_take_turns() -> None:
    loads = [Load(ready=True) for _ in range(3)]
    for _ in range(300):  # each is closed, and known to be, before the next comes
        chosen = ranked(loads)[0]
        chosen.handed += 1
        chosen.received += 1
    assert [load.handed for load in loads] == [100, 100, 100]


@pytest.mark.parametrize(
    ("loads", "best"),
    [
        pytest.param([Load(ready=False), Load(opened=9, ready=True)], 1, id="ready-first"),
        pytest.param([Load(opened=2), Load(opened=1)], 1, id="none-ready"),
        pytest.param([Load(), Load(opened=9, started=True)], 1, id="none-ready-and-one-still-starts"),
        pytest.param([Load(handed=5, received=1, ready=True), Load(opened=3, ready=True)], 1, id="on-their-way-count"),
    ],
)
def test_who_is_next(loads: list[Load], best: int) -> None:
    assert ranked(loads)[0] is loads[best]


@pytest.mark.parametrize(
    ("settings", "count", "cpus", "threads", "instances"),
    [
        pytest.param(Settings(), 4, 8, 2, 2, id="divided"),
        pytest.param(Settings(), 4, 2, 1, 1, id="more-processes-than-cpus"),
        pytest.param(Settings(threads=3, instances=5), 2, 8, 3, 5, id="chosen-stays"),
    ],
)
def test_what_each_process_may_use(settings: Settings, count: int, cpus: int, threads: int, instances: int) -> None:
    each = share(settings, count, cpus)
    assert (each.processes, each.threads, each.instances) == (count, threads, instances)


def family(name: str, kind: str, *samples: tuple[dict[str, str], float]) -> list[Any]:
    return [name, "Text.", kind, [[name, labels, value] for labels, value in samples]]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        pytest.param("haizen_requests", "counter", 7, id="counters-add-up"),
        pytest.param("haizen_requests_in_flight", "gauge", 7, id="gauges-add-up"),
        pytest.param("haizen_model_ready", "gauge", 3, id="ready-when-all-are"),
        pytest.param("process_start_time_seconds", "gauge", 3, id="the-first-start"),
        pytest.param("haizen_model_load_seconds", "gauge", 4, id="the-longest-load"),
        pytest.param("python_info", "gauge", 4, id="one-python"),
    ],
)
def test_how_families_combine(name: str, kind: str, expected: float) -> None:
    (result,) = summed([[family(name, kind, ({"a": "1"}, 3))], [family(name, kind, ({"a": "1"}, 4))]])
    assert result[3] == [[name, {"a": "1"}, expected]]


def test_only_what_grows_is_kept_of_an_ended_process() -> None:
    snapshot = [family("c", "counter", ({}, 1)), family("g", "gauge", ({}, 1)), family("h", "histogram", ({}, 1))]
    assert [each[0] for each in kept(snapshot)] == ["c", "h"]


samples = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")), st.integers(0, 9)), max_size=4
)
snapshots = st.lists(st.lists(st.builds(lambda rows: family("n", "counter", *rows), samples), max_size=2), max_size=4)


@given(snapshots, snapshots)
def test_sums_do_not_depend_on_who_adds_first(one: Any, other: Any) -> None:
    def totals(found: Any) -> dict[Any, float]:
        rows = itertools.chain.from_iterable(each[3] for each in found)
        return {(name, tuple(sorted(labels.items()))): value for name, labels, value in rows}

    assert totals(summed([*one, *other])) == totals(summed([*other, *one]))
    assert totals(summed([summed(one), summed(other)])) == totals(summed([*one, *other]))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("ModelNotFound", ModelNotFound, id="one-with-other-arguments"),
        pytest.param("NoSuchError", RequestError, id="unknown"),
        pytest.param("StartError", RequestError, id="of-another-kind"),
        pytest.param("IntEnum", RequestError, id="no-error"),
    ],
)
def test_errors_of_other_processes(kind: str, expected: type[RequestError]) -> None:
    error = as_error(kind, "Why.")
    assert (type(error), error.message) == (expected, "Why.")


@pytest.mark.parametrize(("kind", "expected"), [("UntrustedFormat", UntrustedFormat), ("os", ModelLoadFailed)])
def test_start_errors_of_other_processes(kind: str, expected: type[Exception]) -> None:
    assert type(as_start_error(kind, "Why.")) is expected
