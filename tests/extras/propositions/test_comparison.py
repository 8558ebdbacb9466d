"""What follows from three inner products, for gradients in the plane and H = diag(2, ½), by hand."""

import math

import pytest

from dmcore.extras.propositions.ranking import Comparison


def of(one, two):
    def inner(a, b):
        return a[0] * b[0] / 2 + 2 * a[1] * b[1]

    return Comparison(inner(one, one), inner(one, two), inner(two, two))


def test_by_hand():
    c = of((2.0, 1.0), (4.0, 3.0))  # own 4, cross 10, target 26; the difference (2, 2) has the square 10
    assert (c.own, c.cross, c.target) == (4, 10, 26)
    assert c.distance == pytest.approx(math.sqrt(10))
    assert c.relative_distance == pytest.approx(math.sqrt(10 / 26))
    assert c.gain == 16
    assert c.helps
    assert c.cosine == pytest.approx(10 / math.sqrt(104))
    assert c.best_scale == 2.5
    assert c.distance_at_best_scale == pytest.approx(math.sqrt(1 / 26))  # (5, 2.5) − (4, 3) = (1, −½): 1
    assert c.target_change == -10


def test_the_opposite_helps_at_no_scale_and_nothing_is_neither():
    c = of((-1.0, 0.0), (4.0, 1.0))
    assert (c.helps, c.best_scale, c.distance_at_best_scale) == (False, 0, 1)
    assert c.target_change == 2
    nothing = of((0.0, 0.0), (4.0, 1.0))
    assert (nothing.helps, nothing.cosine, nothing.best_scale, nothing.relative_distance) == (False, None, 0, 1)
