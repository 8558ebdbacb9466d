"""Interval bounds: of a cut ball, where rounding matters, and their gradients. Their values: the tests in norms."""

import pytest
import torch
from torch import nn

from dmcore.bounds import interval_bounds
from dmcore.domains import Interval
from dmcore.nets import as_network
from dmcore.perturbation import Ball


def test_a_clipped_ball_stays_in_the_pixels_range_and_keeps_its_centre():
    x = torch.tensor([[0.0, 0.05, 0.5, 1.0, 1.2]])
    ball = Ball(x, 0.1, clip_input=True)
    torch.testing.assert_close(ball.center - ball.radius, torch.tensor([[0.0, 0.0, 0.4, 0.9, 1.1]]))
    torch.testing.assert_close(ball.center + ball.radius, torch.tensor([[0.1, 0.15, 0.6, 1.0, 1.2]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bounds_hold_where_float32_loses_everything(dtype):
    """The hidden bias 1e8 swallows x in float32: the logits lie in [0.4, 0.6], and [0, 0] came out."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).to(dtype)
    net[1].weight.data.fill_(1)
    net[1].bias.data.fill_(1e8)
    net[3].weight.data.fill_(1)
    net[3].bias.data.fill_(-1e8)
    lower, upper = interval_bounds(net, torch.full((1, 1), 0.5, dtype=dtype), 0.1)
    assert (lower <= 0.4).all()
    assert (upper >= 0.6).all()
    torch.testing.assert_close(upper - lower, torch.full_like(lower, 0.2), atol=1e-5, rtol=0)


def test_plain_bounds_that_overflow_leave_those_that_hold_alone():
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    for p in net.parameters():
        nn.init.constant_(p, 1e30)
    x = torch.full((1, 2), 0.5)
    with torch.no_grad():
        expected = interval_bounds(net, x, 0.1)
    for side, known in zip(interval_bounds(net, x, 0.1), expected, strict=True):
        assert not known.isnan().any()
        assert torch.equal(side, known)


@pytest.mark.parametrize("eps", [0.0, 1e-9])
def test_a_tiny_ball_holds_the_point_itself(any_net, eps):
    net = any_net.make(0, torch.float32)
    torch.manual_seed(0)
    x = torch.rand(50, *any_net.shape)
    lower, upper = interval_bounds(net, x, eps)
    z = net.double()(x.double())
    assert (lower.double() <= z).all()
    assert (z <= upper.double()).all()


def test_gradients_are_those_of_the_bounds_without_room(any_net):
    net = any_net.make(0, torch.float32)
    torch.manual_seed(0)
    x = torch.rand(4, *any_net.shape)
    sides = interval_bounds(net, x, 0.1)
    ours = torch.autograd.grad(sides[0].square().sum() + sides[1].sum(), list(net.parameters()))
    domain, graph = Interval(), as_network(net)
    lower, upper = domain.bounds(domain.output(graph, Ball(x, 0.1)))
    theirs = torch.autograd.grad(lower.square().sum() + upper.sum(), list(net.parameters()))
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4)
