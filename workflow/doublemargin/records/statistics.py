"""How sure a share of n points is, and a mean over trainings."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959964  # of a 95% interval
SUBSET_POINTS = 100  # the paper's std fits random subsets of this many points


def wilson_interval(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """The 95% Wilson interval of a share, (low, high) in [0, 1]."""
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is not a share")
    p, square = successes / n, z * z / n
    middle, half = p + square / 2, z * math.sqrt((p * (1 - p) + square / 4) / n)
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


@dataclass(frozen=True)
class Share:
    """A share of n points, or of n verdicts where it is the mean over models."""

    successes: int
    n: int

    @property
    def value(self) -> float:
        return self.successes / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson interval."""
        return wilson_interval(self.successes, self.n)


def newcombe_interval(first: Share, second: Share) -> tuple[float, float]:
    """Newcombe's hybrid score interval (95%) of the difference of two shares of independent samples."""
    return difference_interval(first.value, first.interval, second.value, second.interval)


def difference_interval(
    first: float, first_interval: tuple[float, float], second: float, second_interval: tuple[float, float]
) -> tuple[float, float]:
    """The interval of a difference of two independent estimates from their own: square and add each side's arms."""
    difference = first - second
    below = math.hypot(first - first_interval[0], second_interval[1] - second)
    above = math.hypot(first_interval[1] - first, second - second_interval[0])
    return difference - below, difference + above


def decimals(n: int, averaged: bool = False) -> int:
    """As many as n points can make differ in percent: 20 none, 200 one, 10,000 two; for a mean at least one."""
    return max(math.ceil(math.log10(n)) - 2, int(averaged), 0)


def std_of_hundreds(p: float, n: int) -> float:
    """The standard deviation of a share p over random subsets of 100 of the n points, drawn without replacement.

    The form of the paper's "(std)": √(p(1−p)/100 · (n−100)/(n−1)).
    """
    if n <= SUBSET_POINTS:
        return 0.0
    return math.sqrt(p * (1 - p) / SUBSET_POINTS * (n - SUBSET_POINTS) / (n - 1))


def std_over_seeds(shares: Sequence[float]) -> float:
    """The standard deviation of the shares of two or more trainings that differ in their seed alone.

    That of the sample, with n − 1 in the denominator. It has nothing to do with :func:`std_of_hundreds`.
    """
    return statistics.stdev(shares)
