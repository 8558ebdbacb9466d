"""Exact tests, and intervals for two networks that were tested on the same points."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from scipy.stats import hypergeom, norm

from doublemargin.records.statistics import Z_95


def paired_p(differences: Sequence[int]) -> float:
    """Two-sided p of the exact sign-flip test, that each point's difference is as likely the other way round.

    With differences −1, 0, 1, as of two single networks, this is the exact McNemar test. With means over models the
    differences come in multiples of a common unit.

    Args:
        differences: one a point, in whole units.

    Returns:
        The chance that the sum with random signs is at least as far from 0 as the one seen; 1 if no point differs.
    """
    sums = {0: 1}
    for size, count in Counter(abs(d) for d in differences if d).items():
        steps = [(size * (2 * k - count), math.comb(count, k)) for k in range(count + 1)]
        flipped: dict[int, int] = {}
        for total, ways in sums.items():
            for step, more in steps:
                flipped[total + step] = flipped.get(total + step, 0) + ways * more
        sums = flipped
    seen = abs(sum(differences))
    return sum(ways for total, ways in sums.items() if abs(total) >= seen) / sum(sums.values())


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95% interval of a mean paired difference: Bonett and Price's adjusted Wald interval.

    That is the plain interval after two more points, one that differs by +1 and one by −1.

    Args:
        differences: one a point, in [−1, 1].
    """
    mean, error = _adjusted(differences)
    return max(mean - Z_95 * error, -1.0), min(mean + Z_95 * error, 1.0)


def beyond_p(differences: Sequence[float], margin: float, both_sides: bool) -> float:
    """One-sided p against a true difference that is within a margin: small if it lies beyond.

    Args:
        differences: one a point, in [−1, 1].
        margin: as a share.
        both_sides: whether a difference above the margin lies beyond, too; else only one below −margin does.
    """
    mean, error = _adjusted(differences)
    return float(norm.sf(((abs(mean) if both_sides else -mean) - margin) / error))


def sign_test_p(up: int, down: int) -> float:
    """Two-sided p of the sign test: as many up as down expected."""
    return paired_p([1] * up + [-1] * down)


def subset_p(successes: int, n: int, all_successes: int, all_n: int) -> float:
    """Two-sided p of a random subset's count: the hypergeometric tail, doubled.

    Args:
        successes, n: of the subset.
        all_successes, all_n: of the whole that it was drawn from.
    """
    counts = hypergeom(all_n, all_successes, n)
    return float(min(1, 2 * counts.cdf(successes), 2 * counts.sf(successes - 1)))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's corrected p-values, in the order given."""
    corrected = [0.0] * len(ps)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[at]))
        corrected[at] = largest
    return corrected


def _adjusted(differences: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error after a point of +1 and one of −1 were added."""
    n = len(differences) + 2
    mean = sum(differences) / n
    variance = (sum(d * d for d in differences) + 2) / n - mean * mean
    return mean, math.sqrt(variance / n)
