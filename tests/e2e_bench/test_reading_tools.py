import pytest

from e2e.bench import json_pair, loadgen, machine, process_tree, profiling


def test_a_function_counts_once_a_sample_and_all_its_lines_together() -> None:
    raw = "main (a.py:1);work (a.py:10);work (a.py:10);dumps 3\nmain (a.py:1);work (a.py:12) 1\n"
    lines = {line.function: (line.own, line.total) for line in profiling.summarize(raw)}
    assert lines == {"dumps": (0.75, 0.75), "work (a.py)": (0.25, 1.0), "main (a.py)": (0.0, 1.0)}
    assert list(lines) == ["dumps", "work (a.py)", "main (a.py)"]


def test_the_interpreter_works_for_the_package_whose_code_it_runs() -> None:
    raw = (
        "main (haizen_runtime/main.py:3);loads (orjson/orjson.so);memcpy (libc.so.6) 2\n"
        "main (haizen_runtime/main.py:3);_PyEval_EvalFrameDefault (libpython3.11.so.1.0) 1\n"
        "clock (libc.so.6) 1\n"
    )
    assert profiling.packages(raw) == {"orjson": 0.5, "haizen_runtime": 0.25, "other": 0.25}


def test_the_load_generators_figures() -> None:
    text = (
        '{"requests": 10, "errors": 1, "error_samples": ["no"], "requests_per_second": 5.5, "p50_ms": 1.5,'
        ' "p99_ms": 9.0, "client_cpu_seconds": 0.5, "seconds": 2.0}'
    )
    figures = loadgen.parse(text)
    assert (figures.requests, figures.errors, list(figures.error_samples)) == (10, 1, ["no"])
    assert (figures.requests_per_second, figures.p50_ms, figures.p99_ms, figures.client_share) == (5.5, 1.5, 9.0, 0.25)


def test_the_fastest_parser_and_the_fastest_dumper_need_not_be_one_library() -> None:
    pair = json_pair.choose({"parse": {"a": 0.002, "b": 0.001}, "dump": {"a": 0.001, "b": 0.003}})
    assert (pair.parse, pair.dump) == ("b", "a")
    assert pair.text == "parse b 1.00 ms, dump a 1.00 ms"


@pytest.mark.parametrize(
    ("rollup", "kib"),
    [
        pytest.param(
            "55d0-7ffe ---p 0 00:00 0 [rollup]\nRss:  900 kB\nPss:  700 kB\nPss_Anon:  5 kB\n", 700, id="usual"
        ),
        pytest.param("", 0, id="a process that has ended"),
    ],
)
def test_memory_of_a_rollup(rollup: str, kib: int) -> None:
    assert process_tree.proportional_kib(rollup) == kib


def test_a_field_of_proc() -> None:
    assert machine.field_of("processor\t: 0\nmodel name\t: A CPU\nmodel name\t: B\n", "model name") == "A CPU"
    assert machine.field_of("processor\t: 0\n", "model name") == ""
