"""The linear bounds of one ReLU and one max-pool hold at every point of the box."""

import pytest
import torch

from dmcore.linear.relaxations import pool_relaxation, relu_relaxation
from dmcore.nets.layers import MaxPool

SLOPES = ["relu", "ada", "zero"]


@pytest.mark.parametrize("slope", SLOPES)
def test_relu_relaxation_by_hand(slope):
    lower, upper = torch.tensor([[-1.0, -3.0, 1.0, -2.0, 0.0, -1.0]]), torch.tensor([[3.0, 1.0, 2.0, -1.0, 0.0, 0.0]])
    found = relu_relaxation(lower, upper, slope)
    torch.testing.assert_close(found.upper_slope, torch.tensor([[0.75, 0.25, 1.0, 0.0, 1.0, 0.0]]))
    torch.testing.assert_close(found.upper_intercept, torch.tensor([[0.75, 0.75, 0.0, 0.0, 0.0, 0.0]]))
    below = {"relu": [0.75, 0.25], "ada": [1.0, 0.0], "zero": [0.0, 0.0]}[slope]
    torch.testing.assert_close(found.lower_slope, torch.tensor([[*below, 1.0, 0.0, 1.0, 0.0]]))
    assert found.parallel == (slope == "relu")


@pytest.mark.parametrize("slope", SLOPES)
def test_relu_relaxation_hold(slope):
    torch.manual_seed(0)
    a, b = torch.randn(2, 1, 200, dtype=torch.float64)
    lower, upper = torch.minimum(a, b), torch.maximum(a, b)
    found = relu_relaxation(lower, upper, slope)
    z = lower + (upper - lower) * torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    assert (found.lower_slope * z <= z.relu() + 1e-12).all()
    assert (found.upper_slope * z + found.upper_intercept >= z.relu() - 1e-12).all()


def boxes(kind):
    """Boxes of an 8×7 map: of all sizes, some of no width at all, some that overlap little."""
    torch.manual_seed(1)
    center = torch.randn(3, 2, 8, 7, dtype=torch.float64)
    radius = torch.rand(3, 2, 8, 7, dtype=torch.float64)
    if kind == "points":
        radius = radius * (torch.rand_like(radius) < 0.5)
    if kind == "after relu":
        return (center - radius).relu(), (center + radius).relu()
    if kind == "narrow":
        radius = radius * 0.05
    if kind == "ties":
        center, radius = center.round(), radius.round()
    return center - radius, center + radius


@pytest.mark.parametrize("kind", ["wide", "points", "after relu", "narrow", "ties"])
@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize(
    "pool", [MaxPool((2, 2), (2, 2)), MaxPool((3, 3), (2, 1), (1, 1)), MaxPool((1, 2), (3, 3)), MaxPool((3, 2), (1, 1))]
)
def test_pool_relaxation_hold(pool, slope, kind):
    lower, upper = boxes(kind)
    found = pool_relaxation(pool, lower, upper, slope)
    low = pool.windows(lower, -torch.inf).amax(-1)
    high = pool.windows(upper, -torch.inf).amax(-1)
    for t in range(400):
        share = torch.rand_like(lower) if t % 2 else torch.rand_like(lower).round()  # inside, and at corners
        z = lower + (upper - lower) * share
        seen = pool.windows(z, 0.0)
        below = (found.lower_slope * seen).sum(-1) + found.lower_intercept
        above = (found.upper_slope * seen).sum(-1) + found.upper_intercept
        assert (below <= pool(z) + 1e-9).all()
        assert (above >= pool(z) - 1e-9).all()
        if slope == "zero":  # and never leave IBP's box
            assert (below >= low - 1e-9).all()
            assert (above <= high + 1e-9).all()


def test_a_constant_beside_a_wide_input_is_no_identity():
    """max(0, z) for z in [−1, 1]: only z can exceed the constant, yet the maximum is not z."""
    lower, upper = torch.tensor([[[[0.0, -1.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
    for slope in SLOPES:
        found = pool_relaxation(MaxPool((1, 2), (1, 1)), lower, upper, slope)
        at_minus_one = (found.upper_slope * torch.tensor([0.0, -1.0])).sum() + found.upper_intercept
        assert at_minus_one >= 0
