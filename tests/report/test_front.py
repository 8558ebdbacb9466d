"""The front and the area below it, against their definitions."""

import itertools

import numpy as np
import pytest

from doublemargin.report.figures.tradeoff import hypervolume, on_front

SETS = [np.random.default_rng(seed).integers(0, 8, (n, 2)) for seed, n in itertools.product(range(10), (1, 2, 5, 12))]


@pytest.mark.parametrize("whole", SETS, ids=str)
def test_against_counting_unit_squares(whole):
    """A square of side 1 is dominated if a point lies at its upper right corner or beyond."""
    points = [(float(x), float(y)) for x, y in whole]
    corners = list(itertools.product(range(1, 9), repeat=2))
    assert hypervolume(points) == sum(any(x >= a and y >= b for x, y in points) for a, b in corners)
    front = [point for point in points if on_front(points, point)]
    assert hypervolume(front) == hypervolume(points)
    for point in set(front):  # each counts, wherever an area can tell
        less = [other for other in front if other != point]
        assert hypervolume(less) < hypervolume(points) or 0 in point
    for point in set(points) - set(front):
        assert any(all(np.greater_equal(best, point)) and best != point for best in front)


def test_equal_points_are_both_on_the_front_and_a_tie_in_one_is_dominated():
    points = [(0.9, 0.5), (0.9, 0.5), (0.9, 0.4), (0.8, 0.5), (0.5, 0.6)]
    assert [on_front(points, point) for point in points] == [True, True, False, False, True]
    assert hypervolume([(0.9, 0.5), (0.5, 0.6), (0.8, 0.5)]) == pytest.approx(0.9 * 0.5 + 0.5 * 0.1)
    assert hypervolume([]) == 0
