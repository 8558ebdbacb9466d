"""Exact tests besides those of :mod:`~doublemargin.report.paired`, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.stats import hypergeom, norm

from doublemargin.report.paired import adjusted


def beyond_p(differences: Sequence[float], margin: float, both_sides: bool) -> float:
    """One-sided p against a true difference that is within a margin: small if it lies beyond.

    Args:
        differences: one a point, in [−1, 1].
        margin: as a share.
        both_sides: whether a difference above the margin lies beyond, too; else only one below −margin does.
    """
    mean, error = adjusted(differences)
    return float(norm.sf(((abs(mean) if both_sides else -mean) - margin) / error))


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
