"""Two networks on the same test points: their difference, its exact test and its interval. Needs no SciPy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from doublemargin.records.statistics import Z_95
from doublemargin.report.tables import Cell


def differences(first: Cell, second: Cell) -> tuple[list[int], int]:
    """Each point's difference of two cells on the same points, in whole units, and how many units make 1.

    Means over several models differ by parts: with one model and three the unit is a third.
    """
    unit = math.lcm(len(first.verdicts), len(second.verdicts))

    def sums(cell: Cell) -> list[int]:
        return [column.count("1") * unit // len(cell.verdicts) for column in zip(*cell.verdicts, strict=True)]

    return [a - b for a, b in zip(sums(first), sums(second), strict=True)], unit


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
    mean, error = adjusted(differences)
    return max(mean - Z_95 * error, -1.0), min(mean + Z_95 * error, 1.0)


def adjusted(differences: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error after a point of +1 and one of −1 were added."""
    n = len(differences) + 2
    mean = sum(differences) / n
    variance = (sum(d * d for d in differences) + 2) / n - mean * mean
    return mean, math.sqrt(variance / n)
