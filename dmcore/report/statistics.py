"""How sure a share of n points is."""

from __future__ import annotations

import math

GROUP = 100  # the paper's std fits random subsets of this many points


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95% Wilson interval of a share, (low, high) in [0, 1]."""
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is not a share")
    p, square = successes / n, z * z / n
    middle, half = p + square / 2, z * math.sqrt((p * (1 - p) + square / 4) / n)
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


def std_of_hundreds(p: float, n: int) -> float:
    """The standard deviation of a share p over random subsets of 100 of the n points, drawn without replacement.

    The form of the paper's "(std)": √(p(1−p)/100 · (n−100)/(n−1)).
    """
    if n <= GROUP:
        return 0.0
    return math.sqrt(p * (1 - p) / GROUP * (n - GROUP) / (n - 1))
