import dense_reference as reference
import pytest
import torch
from conftest import NETS, conv_net
from torch import nn

from dmcore.bounds import interval_bounds
from dmcore.domains import Interval
from dmcore.errors import UserError
from dmcore.nets import as_network
from dmcore.perturbation import Ball


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "pool", "chain"])
def test_equal_to_the_dense_reference(name, clip):
    make, shape = NETS[name]
    torch.manual_seed(0)
    x = torch.rand(3, *shape)
    lower, upper = interval_bounds(make(0), x, 0.1, clip_input=clip)
    steps = reference.matrices(make(0), shape)
    for i in range(3):
        low, high = reference.interval(steps, x[i].double().flatten().numpy(), 0.1, clip)[-1]
        torch.testing.assert_close(lower[i].double(), torch.tensor(low), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(upper[i].double(), torch.tensor(high), atol=1e-5, rtol=1e-5)


def test_holds_for_random_points_and_corners(any_net):
    make, shape = any_net
    net, eps = make(0, torch.float64), 0.2
    torch.manual_seed(0)
    x = torch.rand(1, *shape, dtype=torch.float64)
    lower, upper = interval_bounds(net, x, eps)
    delta = torch.rand(3000, *shape, dtype=torch.float64) * 2 - 1
    for d in (delta, delta.sign()):
        z = net(x + eps * d)
        assert (lower - 1e-9 <= z).all()
        assert (z <= upper + 1e-9).all()


def test_a_clipped_ball_stays_in_the_pixels_range_and_keeps_its_centre():
    x = torch.tensor([[0.0, 0.05, 0.5, 1.0, 1.2]])
    ball = Ball(x, 0.1, clip_input=True)
    torch.testing.assert_close(ball.center - ball.radius, torch.tensor([[0.0, 0.0, 0.4, 0.9, 1.1]]))
    torch.testing.assert_close(ball.center + ball.radius, torch.tensor([[0.1, 0.15, 0.6, 1.0, 1.2]]))


def test_bad_input_is_named():
    with pytest.raises(UserError, match="eps must be a finite number"):
        interval_bounds(conv_net(0), torch.rand(1, 2, 5, 5), -1e-9)
    with pytest.raises(UserError, match="does not fit the network"):
        interval_bounds(conv_net(0), torch.rand(1, 3, 5, 5), 0.1)


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


@pytest.mark.parametrize("eps", [0.0, 1e-9])
def test_a_tiny_ball_holds_the_point_itself(any_net, eps):
    make, shape = any_net
    net = make(0, torch.float32)
    torch.manual_seed(0)
    x = torch.rand(50, *shape)
    lower, upper = interval_bounds(net, x, eps)
    z = net.double()(x.double())
    assert (lower.double() <= z).all()
    assert (z <= upper.double()).all()


def test_gradients_are_those_of_the_bounds_without_room(any_net):
    make, shape = any_net
    net = make(0, torch.float32)
    torch.manual_seed(0)
    x = torch.rand(4, *shape)
    sides = interval_bounds(net, x, 0.1)
    ours = torch.autograd.grad(sides[0].square().sum() + sides[1].sum(), list(net.parameters()))
    domain, graph = Interval(), as_network(net)
    lower, upper = domain.bounds(domain.output(graph, Ball(x, 0.1)))
    theirs = torch.autograd.grad(lower.square().sum() + upper.sum(), list(net.parameters()))
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4)
