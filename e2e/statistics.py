"""Exact binomial bounds, for traffic shares that must not be judged by a rule of thumb."""

from math import exp, lgamma, log


def _log_probability(successes: int, trials: int, share: float) -> float:
    choose = lgamma(trials + 1) - lgamma(successes + 1) - lgamma(trials - successes + 1)
    return choose + successes * log(share) + (trials - successes) * log(1 - share)


def tail_probability(successes: int, trials: int, share: float) -> float:
    """Return how likely a count at least this far from the expected one is, on its side (a one-sided tail).

    `share` is 0..1. A share of 0 or 1 allows exactly one count: any other has probability 0.
    """
    if share <= 0.0 or share >= 1.0:
        return 1.0 if successes == round(trials * share) else 0.0
    upper = successes >= trials * share
    counts = range(successes, trials + 1) if upper else range(successes + 1)
    return min(1.0, sum(exp(_log_probability(count, trials, share)) for count in counts))


def share_is_plausible(successes: int, trials: int, share: float, bound: float = 1e-6) -> bool:
    """Say whether `successes` of `trials` fits an intended share, at a two-sided error of `bound`."""
    return tail_probability(successes, trials, share) >= bound / 2
