"""What the command line of `python -m e2e.bench` takes. Pure."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from e2e.bench.cases import CASES, OTHERS, Case
from e2e.bench.contestant import Contestant

ROUNDS, QUICK_ROUNDS = 7, 1
QUICK_SECONDS = 0.4
BUDGET_MINUTES = 23.0
"""Servers that take seconds for one answer add a minute or two."""
SOAK_CALLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, beside whom, and how long."""

    cases: tuple[Case, ...]
    others: tuple[str, ...]
    contestants: tuple[Contestant, ...]
    rounds: int
    seconds: float | None
    """Of one side of one round; None: what the budget leaves."""
    minutes: float
    soak_calls: int
    profile: tuple[Case, ...]
    cluster: bool
    install_only: bool

    @property
    def kind(self) -> str:
        """What is done: "" for the comparison."""
        chosen = {"cluster": self.cluster, "soak": self.soak_calls, "profile": self.profile}
        return next((name for name, wanted in chosen.items() if wanted), "")

    @property
    def names(self) -> list[str]:
        """Of everything that is compared."""
        return [] if self.kind else [*(case.name for case in self.cases), *self.others]


def parse(arguments: Sequence[str], contestants: Sequence[Contestant]) -> Options:
    """Read the arguments; ends the program with a message where one is wrong."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench", description="haizen beside its peers, on two cores")
    names = [*(case.name for case in CASES), *OTHERS]
    families = list(dict.fromkeys(each.family for each in contestants))
    parser.add_argument("--only", type=_listed(names), default=names, help=f"of {', '.join(names)}")
    parser.add_argument("--peers", type=_listed(families), default=families, help=f"of {', '.join(families)}")
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it runs, not to measure")
    parser.add_argument("--rounds", type=int, help=f"pairs per case, {ROUNDS} if not given")
    parser.add_argument("--seconds", type=float, help="of one side of a round; if not given, what --minutes leaves")
    parser.add_argument("--minutes", type=float, default=BUDGET_MINUTES, help="what the whole may take (%(default)g)")
    parser.add_argument(
        "--soak", type=int, nargs="?", const=SOAK_CALLS, default=0, metavar="CALLS",
        help=f"only this: {SOAK_CALLS:,} gRPC calls from each of two clients",
    )  # fmt: skip
    parser.add_argument(
        "--profile", type=_listed([case.name for case in CASES[:-1]]), default=[], metavar="CASES",
        help="only this: what the server does in these cases",
    )  # fmt: skip
    parser.add_argument("--cluster", action="store_true", help="only this: cold start and a burst, on a cluster")
    parser.add_argument("--install", action="store_true", help="only this: make the peers' environments")
    wish = parser.parse_args(arguments)
    by_name = {case.name: case for case in CASES}
    return Options(
        tuple(case for case in CASES if case.name in wish.only),
        tuple(name for name in OTHERS if name in wish.only),
        tuple(each for each in contestants if each.family in wish.peers),
        wish.rounds or (QUICK_ROUNDS if wish.quick else ROUNDS),
        wish.seconds or (QUICK_SECONDS if wish.quick else None),
        wish.minutes,
        wish.soak,
        tuple(by_name[name] for name in wish.profile),
        wish.cluster,
        wish.install,
    )


class _listed:  # argparse shows it in its messages
    """Names with commas between them, each one of those that there are."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __call__(self, text: str) -> list[str]:
        wanted = [name for name in text.split(",") if name]
        unknown = [name for name in wanted if name not in self._names]
        if unknown or not wanted:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown) or 'nothing'}: it must be of {', '.join(self._names)}"
            )
        return wanted
