import pytest

from e2e.bench import options
from e2e.bench.peers import CONTESTANTS


def names(*arguments: str) -> list[str]:
    return options.parse(arguments, CONTESTANTS).names


def test_everything_is_measured_beside_everybody() -> None:
    wish = options.parse([], CONTESTANTS)
    assert wish.names[:3] == ["iris-64", "iris-16", "iris-1"]
    assert wish.contestants == CONTESTANTS
    assert (wish.rounds, wish.seconds, wish.minutes) == (7, None, 23.0)


def test_a_part_of_it() -> None:
    wish = options.parse(["--only=start,iris-1", "--peers=kserve,bare", "--quick"], CONTESTANTS)
    assert wish.names == ["iris-1", "start"]
    assert [each.name for each in wish.contestants] == ["bare ASGI", "KServe SDK"]
    assert (wish.rounds, wish.seconds) == (1, options.QUICK_SECONDS)


def test_a_soak_is_a_million_calls() -> None:
    assert options.parse(["--soak"], CONTESTANTS).soak_calls == 1_000_000
    assert options.parse(["--soak=500"], CONTESTANTS).soak_calls == 500


@pytest.mark.parametrize("argument", ["--soak", "--profile=iris-64", "--cluster"])
def test_what_is_no_comparison_has_no_bars_of_it(argument: str) -> None:
    wish = options.parse([argument], CONTESTANTS)
    assert wish.names == []
    assert argument.startswith(f"--{wish.kind}")


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        pytest.param("--only=iris-65", "iris-65: it must be of iris-64", id="a case that there is not"),
        pytest.param("--peers=kserve,flask", "flask: it must be of prototype", id="a peer that there is not"),
        pytest.param("--only=", "nothing: it must be of", id="no case"),
    ],
)
def test_names_that_there_are_not(argument: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse([argument], CONTESTANTS)
    assert said in capsys.readouterr().err


def test_each_contestant_has_its_own_name_and_its_requirements() -> None:
    assert len({each.name for each in CONTESTANTS}) == len(CONTESTANTS)
    for each in CONTESTANTS:
        assert each.family
        assert each.doors
