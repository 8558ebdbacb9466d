"""The forward domains in all norms: the first margin by loops, gradients, and what a ball holds."""

import dense_reference as reference
import numpy as np
import pytest
import torch
from conftest import NETS
from norm_balls import RADII, random_points
from torch import nn

from dmcore.bounds import double_margins, interval_bounds
from dmcore.domains import DoubleMargin, Interval, IntervalMargin, Magnitude, SingleMargin
from dmcore.errors import UserError
from dmcore.linear import chunks
from dmcore.nets import as_network
from dmcore.nets.layers import Conv, Linear, Normalize
from dmcore.perturbation import Ball
from dmcore.registries import regularizer
from dmcore.regularizers import Batch


def pixels(*shape, seed=0):
    """Random pixels, some of them exactly 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * 1.6 - 0.3).clamp(0, 1)


CONV = NETS["conv"]
FIRST = {
    "convolution": [Conv(2, 3, (4, 3), (2, 1), (1, 2, 0, 2))],
    "normalised convolution": [Normalize([0.5, 0.1], [0.2, 2.0]), Conv(2, 3, (4, 3), (2, 1), (1, 2, 0, 2))],
    "normalised rows": [Normalize([0.5, 0.1], [0.2, 2.0]), nn.Flatten(), Linear(40, 5)],
}


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize(
    ("norm", "eps"), [("linf", 0.1), ("l2", 0.7), ("l1", 0.7), ("l0", 1), ("l0", 3), ("l0", 2.25), ("l0", 99)]
)
def test_the_first_margins_by_loops(norm, eps, name):
    net, x = as_network(nn.Sequential(*FIRST[name]).double()), pixels(2, 2, 5, 4)
    weight, bias = np.eye(40), np.zeros(40)
    for _, matrix, offset in reference.matrices(FIRST[name], (2, 5, 4)):
        weight, bias = matrix @ weight, matrix @ bias + offset
    lower, upper = Interval().bounds(Interval().output(net, Ball(x, eps, norm)))
    margins = [domain().output(net, Ball(x, eps, norm)) for domain in (DoubleMargin, SingleMargin, IntervalMargin)]
    for i, flat in enumerate(x.flatten(1).numpy()):
        low = bias + [reference.lowest(row, flat, eps, norm=norm) for row in weight]
        high = bias - [reference.lowest(-row, flat, eps, norm=norm) for row in weight]
        for found, expected in ((lower, low), (upper, high), (margins[2].box.upper, high)):
            torch.testing.assert_close(found[i].flatten(), torch.tensor(expected))
        for m in margins:
            assert m.v is None
            torch.testing.assert_close(m.z[i].flatten(), torch.tensor(weight @ flat + bias))
            torch.testing.assert_close(m.s.expand_as(m.z)[i].flatten(), torch.tensor(high - low) / 2)


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("name", ["conv", "pool", "chain", "rows"])
def test_intervals_equal_the_dense_reference(name, norm):
    x = pixels(2, *NETS[name].shape)
    for clip in (False, True):
        lower, upper = interval_bounds(NETS[name].make(0, torch.float64), x, RADII[norm], norm, clip)
        steps = reference.matrices(NETS[name].make(0), NETS[name].shape)
        for i in range(len(x)):
            low, high = reference.interval(steps, x[i].flatten().numpy(), RADII[norm], clip, norm)[-1]
            torch.testing.assert_close(lower[i], torch.tensor(low), atol=1e-6, rtol=1e-6)
            torch.testing.assert_close(upper[i], torch.tensor(high), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("eps", "lower", "upper"),
    [
        (0, [-0.1, 0.3, 1.2], [-0.1, 0.3, 1.2]),
        (0.5, [-0.1, 0.15, 0.6], [0.45, 0.65, 1.2]),
        (2, [-0.1, 0, 0], [1, 1, 1.2]),
    ],
)
def test_the_box_of_l0_holds_the_pixels_range_and_odd_inputs(eps, lower, upper):
    x = torch.tensor([[-0.1, 0.3, 1.2]])
    for radius in (eps, torch.tensor(float(eps))):
        ball = Ball(x, radius, "l0")
        torch.testing.assert_close(ball.center - ball.radius, torch.tensor([lower]).float())
        torch.testing.assert_close(ball.center + ball.radius, torch.tensor([upper]).float())
        torch.testing.assert_close(ball.max_decrease, torch.tensor([[0, 0.3, 1.2]]))
        torch.testing.assert_close(ball.max_increase, torch.tensor([[1.1, 0.7, 0]]))


@pytest.mark.parametrize("norm", RADII)
def test_magnitudes_hold_for_every_point_of_the_ball(any_net, norm):
    net, x = as_network(any_net.make(0, torch.float64)), pixels(1, *any_net.shape)
    size = Magnitude().output(net, Ball(x, RADII[norm], norm))
    assert (net(random_points(x[0], RADII[norm], norm, 2000, 0)).abs() <= size).all()
    if norm == "l0":  # a margin of ±1 on every input holds, too
        assert (size <= Magnitude().output(net, Ball(x, 1.0)) + 1e-9).all()


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_gradients_against_finite_differences(domain, norm):
    """With ε in the middle of a ramp, as a number and as a tensor; the first layer's weights, and a row of zeros."""
    net, eps = CONV.make(0, torch.float64), 1.6 if norm == "l0" else 0.3
    x, y = pixels(3, *CONV.shape), torch.tensor([0, 1, 2])
    value = regularizer.get("worst_case")(domain=domain, norm=norm).value
    weight = net[0].weight
    (gradient,) = torch.autograd.grad(value(Batch(as_network(net), x, y, eps)), weight)
    (by_tensor,) = torch.autograd.grad(value(Batch(as_network(net), x, y, torch.tensor(eps).double())), weight)
    torch.testing.assert_close(by_tensor, gradient)
    generator = torch.Generator().manual_seed(1)
    direction, step = torch.randn(weight.shape, generator=generator, dtype=weight.dtype), 1e-6
    seen = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * step * direction
            seen.append(value(Batch(as_network(net), x, y, eps)).item())
            weight -= sign * step * direction
    assert (seen[0] - seen[1]) / (2 * step) == pytest.approx((gradient * direction).sum().item(), rel=1e-4)
    with torch.no_grad():
        weight[0] = 0
    (gradient,) = torch.autograd.grad(value(Batch(as_network(net), x, y, eps)), weight)
    assert gradient.isfinite().all()


def test_gradients_for_the_input_under_l0():
    net, x = CONV.make(0, torch.float64), pixels(2, *CONV.shape) * 0.9 + 0.05
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(double_margins(net, x, 2, "l0")[1].sum(), x)
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    up, down = (double_margins(net, (x + h * direction).detach(), 2, "l0")[1].sum().item() for h in (1e-6, -1e-6))
    assert (up - down) / 2e-6 == pytest.approx((gradient * direction).sum().item(), rel=1e-4)


@pytest.mark.parametrize("norm", RADII)
def test_a_tensor_for_eps_gives_the_same(any_net, norm):
    net, x = any_net.make(0, torch.float64), pixels(2, *any_net.shape)
    for clip in (False, True):
        for domain in (Interval, DoubleMargin):
            by_number, by_tensor = (
                domain().bounds(domain().output(as_network(net), Ball(x, eps, norm, clip)))
                for eps in (1.5, torch.tensor(1.5, dtype=torch.float64))
            )
            torch.testing.assert_close(by_tensor, by_number)


def test_ranking_a_few_samples_at_a_time_changes_nothing(monkeypatch):
    net, x = CONV.make(0, torch.float64), pixels(5, *CONV.shape)
    whole = interval_bounds(net, x, 2, "l0")
    monkeypatch.setitem(chunks.RANKED, "cpu", 1)
    torch.testing.assert_close(interval_bounds(net, x, 2, "l0"), whole)


@pytest.mark.parametrize("norm", RADII)
def test_an_empty_batch_has_empty_bounds(norm):
    lower, upper = interval_bounds(CONV.make(0), torch.zeros(0, *CONV.shape), 1, norm)
    assert lower.shape == upper.shape == (0, 4)


def test_part_of_an_input_is_refused():
    with pytest.raises(UserError, match=r"l0 eps counts changed inputs: a whole number, not 0\.5"):
        interval_bounds(CONV.make(0), torch.rand(1, *CONV.shape), 0.5, "l0")
    double_margins(CONV.make(0), torch.rand(1, *CONV.shape), 0.5, "l0")  # a ramp passes through fractions
