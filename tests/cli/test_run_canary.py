"""The canary on a laptop, with real processes: the operator's own rollout, from a split to a rollback."""

from pathlib import Path

from e2e.statistics import share_is_plausible
from tests.cli.local_run import Load, LocalRun, digit_rows, service_yaml

PREDICT = "/v1/models/digits:predict"


def answers(run: LocalRun, count: int) -> dict[str, int]:
    with Load(run, PREDICT, {"instances": list(digit_rows(1))}, pause_seconds=0) as load:
        load.wait_for_answers(count)
    assert load.errors == []
    assert set(load.statuses) == {200}
    return dict(load.revisions)


def test_split_promote_and_roll_back(tmp_path: Path, models: Path) -> None:
    """10 % → promoted → rolled back with 0, and each time who answers is counted."""
    file = tmp_path / "digits.yaml"

    def edit(format_name: str, percent: int | None) -> None:
        extra = "" if percent is None else f"    canaryTrafficPercent: {percent}\n"
        file.write_text(service_yaml("digits", models / format_name, format_name=format_name, extra=extra))

    old, new = "digits-predictor-00001", "digits-predictor-00002"
    edit("sklearn", None)
    with (
        LocalRun(file, cache=tmp_path / "cache") as run,
        Load(run.wait_served(), PREDICT, {"instances": list(digit_rows(1))}, pause_seconds=0.05) as throughout,
    ):
        edit("onnx", 10)
        run.wait_for(rf"traffic {new} 10 %, {old} 90 %")
        counted = answers(run, 1000)
        assert share_is_plausible(counted[new], sum(counted.values()), 0.1), counted
        assert set(counted) == {old, new}

        edit("onnx", None)
        run.wait_for(rf"traffic {new} 100 %")
        assert set(answers(run, 100)) == {new}
        run.wait_for(rf"{old}: stopped")

        edit("onnx", 0)
        run.wait_for(rf"traffic {old} 100 %[\s\S]*traffic {old} 100 %")
        assert set(answers(run, 100)) == {old}

        edit("onnx", 100)
        run.wait_for(rf"traffic {new} 100 %[\s\S]*traffic {new} 100 %")
        assert set(answers(run, 100)) == {new}
        throughout.wait_for_answers(1)
        assert throughout.errors == []
        assert set(throughout.statuses) == {200}
        assert set(throughout.revisions) == {old, new}


def test_a_canary_that_cannot_start_gets_no_traffic(tmp_path: Path, models: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"not a model")
    file = tmp_path / "digits.yaml"
    file.write_text(service_yaml("digits", models / "onnx", format_name="onnx"))
    with LocalRun(file, cache=tmp_path / "cache") as run:
        run.wait_served()
        file.write_text(service_yaml("digits", broken, format_name="onnx", extra="    canaryTrafficPercent: 50\n"))
        run.wait_for("digits-predictor-00002: failed: ModelLoadFailed")
        assert set(answers(run, 50)) == {"digits-predictor-00001"}
