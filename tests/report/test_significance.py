"""Tests and intervals against textbook values, closed forms and enumeration."""

import itertools
import math
from statistics import NormalDist

import pytest

from doublemargin.records.statistics import Share, difference_interval, newcombe_interval
from doublemargin.report.claims.significance import beyond_p, holm, subset_p
from doublemargin.report.paired import paired_interval, paired_p


def test_newcombe_against_his_paper():
    """Newcombe (1998), Statistics in Medicine 17:873, Table II, method 10 (hybrid score, without correction)."""
    for (a, m), (b, n), low, high in (
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((0, 10), (0, 20), -0.1611, 0.2775),
    ):
        assert newcombe_interval(Share(a, m), Share(b, n)) == pytest.approx((low, high), abs=5e-5)


def test_a_difference_that_excludes_0_leaves_neither_value_in_the_others_interval():
    for a, b in itertools.product(range(0, 41, 2), repeat=2):
        first, second = Share(a, 40), Share(b, 40)
        low, high = newcombe_interval(first, second)
        if low > 0 or high < 0:
            for one, other in ((first, second), (second, first)):
                assert not other.interval[0] <= one.value <= other.interval[1]


def test_arms_add_in_squares():
    assert difference_interval(10, (7, 12), 3, (-1, 15)) == pytest.approx((7 - math.hypot(3, 12), 7 + math.hypot(2, 4)))


def mcnemar(b, c):
    """The exact two-sided test by its definition: twice the smaller binomial tail."""
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    return min(1.0, 2 * tail)


def test_paired_p_is_the_exact_mcnemar_test():
    for b, c in itertools.product(range(12), repeat=2):
        assert paired_p([1] * b + [-1] * c + [0] * 7) == pytest.approx(mcnemar(b, c), rel=1e-12)
    assert paired_p([1] * 6) == 2 / 64
    assert paired_p([1] * 5) == 2 / 32
    assert paired_p([]) == 1
    assert paired_p([1] * 13 + [-1] * 25) == pytest.approx(0.0730, abs=5e-5)  # R: binom.test(13, 38)


def test_paired_p_of_means_by_enumerating_all_signs():
    differences = [3, 2, 2, -1, 1, 0, -2, 3, 1]
    seen = abs(sum(differences))
    signs = list(itertools.product((1, -1), repeat=len(differences)))
    extreme = sum(abs(sum(s * d for s, d in zip(row, differences, strict=True))) >= seen for row in signs)
    assert paired_p(differences) == pytest.approx(extreme / len(signs))
    assert paired_p([3 * d for d in differences]) == paired_p(differences)  # the unit does not matter


def test_paired_interval_is_bonett_and_prices():
    """(b − c)/(n + 2) ± z √((p₁₂ + p₂₁ − (p₁₂ − p₂₁)²)/(n + 2)) with p = (count + 1)/(n + 2)."""
    b, c, n = 30, 12, 200
    p, q = (b + 1) / (n + 2), (c + 1) / (n + 2)
    half = 1.959964 * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    differences = [1] * b + [-1] * c + [0] * (n - b - c)
    assert paired_interval(differences) == pytest.approx((p - q - half, p - q + half))
    assert paired_interval([1] * 5)[1] == 1.0  # cut


def test_beyond_p():
    differences = [-1] * 40 + [1] * 10 + [0] * 150
    p, q = 11 / 202, 41 / 202
    error = math.sqrt((p + q - (p - q) ** 2) / 202)
    tail = NormalDist().cdf(-(q - p - 0.05) / error)
    assert beyond_p(differences, 0.05, both_sides=False) == pytest.approx(tail)
    assert beyond_p(differences, 0.05, both_sides=True) == beyond_p(differences, 0.05, both_sides=False) < 0.01
    better = [-d for d in differences]
    assert beyond_p(better, 0.05, both_sides=False) > 0.99  # above is not beyond here
    assert beyond_p(better, 0.05, both_sides=True) < 0.01


def test_subset_p_by_enumerating_subsets():
    whole = [1] * 5 + [0] * 4
    counts = [sum(subset) for subset in itertools.combinations(whole, 4)]
    for k in range(5):
        tails = sum(c <= k for c in counts), sum(c >= k for c in counts)
        assert subset_p(k, 4, 5, 9) == pytest.approx(min(1, 2 * min(tails) / len(counts)))
    assert subset_p(170, 200, 9344, 10000) == pytest.approx(3.2749914325475596e-05, rel=1e-12)  # in whole numbers


def test_holm():
    """Holm (1979) by hand: sorted p times what is left, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
