"""ReLU stability against loops over units with dense interval bounds, in float64."""

import math

import dense_reference as reference
import pytest
import torch
from conftest import NETS, conv_net, pool_net, residual_net
from small_images import digits, model
from torch import nn

from dmcore.domains.interval import Interval, relu_inputs, unstable_relus
from dmcore.errors import UserError
from dmcore.nets import as_network
from dmcore.perturbation import Ball
from dmcore.registries import regularizer
from dmcore.regularizers import Batch
from dmcore.spec import Term
from dmcore.training.loop import train

EPS = 0.05


def batch_of(net, shape=(2, 5, 5), eps=EPS, count=4):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, *shape, generator=generator, dtype=torch.float64)
    return Batch(as_network(net), x, torch.arange(count) % 3, eps)


def stability(**options):
    return regularizer.get("relu_stability")(**options)


def ranges(net, shape, x, eps, clip):
    """(channels or units, lower, upper) at the input of every ReLU, by dense matrices."""
    steps = reference.matrices(net, shape)
    bounds = reference.interval(steps, x.flatten().numpy(), eps, clip)
    fed_by = {i: None for i, step in enumerate(steps) if step[0] == "relu"}
    widths = [m.out_channels if isinstance(m, nn.Conv2d) else m.out_features for m in net if hasattr(m, "weight")]
    return [(width, *bounds[i]) for width, i in zip(widths, fed_by, strict=False)]


@pytest.mark.parametrize("positions", ["mean", "sum"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "pool"])
def test_value_by_loops(name, clip, positions):
    make, shape = NETS[name]
    net = make(0, torch.float64)
    batch = batch_of(net, shape, eps=0.2)
    got = stability(clip_input=clip, positions=positions).value(batch)
    total = 0.0
    for x in batch.x:
        for width, lower, upper in ranges(net, shape, x, 0.2, clip):
            units = [math.tanh(1 + low * high) for low, high in zip(lower, upper, strict=True)]
            places = len(units) // width  # of a convolution; 1 for a fully connected layer
            total -= sum(units) / (places if positions == "mean" else 1)
    assert got.item() == pytest.approx(total / len(batch.x), rel=1e-10)


def test_the_default_is_the_mean_over_positions():
    batch = batch_of(conv_net(0, torch.float64))
    assert torch.equal(stability().value(batch), stability(positions="mean").value(batch))
    assert not torch.isclose(stability().value(batch), stability(positions="sum").value(batch))


def test_unstable_relus_by_loops():
    for name in ("conv", "pool"):
        make, shape = NETS[name]
        net = make(0, torch.float64)
        batch = batch_of(net, shape)
        seen = sum(
            int(low < 0 < high)
            for x in batch.x
            for _, lower, upper in ranges(net, shape, x, EPS, False)
            for low, high in zip(lower, upper, strict=True)
        )
        assert seen > 0
        assert unstable_relus(batch.net, Ball(batch.x, EPS)).item() == pytest.approx(seen / len(batch.x))


def test_every_relu_of_a_residual_net_counts():
    """Its three ReLUs by hand: bounds of a convolution from the positive and the negative part of its kernel."""
    net = residual_net(0, torch.float64)
    conv = [layer for layer in net.layers if type(layer).__name__ == "Conv"]
    batch = batch_of(net, (1, 5, 5))

    def through(layer, low, high):
        w, b = layer.weight, layer.bias
        up = torch.nn.functional.conv2d(high, w.clamp(min=0), b, padding=1)
        up = up + torch.nn.functional.conv2d(low, w.clamp(max=0), padding=1)
        down = torch.nn.functional.conv2d(low, w.clamp(min=0), b, padding=1)
        return down + torch.nn.functional.conv2d(high, w.clamp(max=0), padding=1), up

    trunk = through(conv[0], batch.x - EPS, batch.x + EPS)
    start = [t.relu() for t in trunk]
    inner = through(conv[1], *start)
    branch = through(conv[2], *(t.relu() for t in inner))
    total = [b + s for b, s in zip(branch, start, strict=True)]
    expected = -sum((1 + low * high).tanh().sum(1).mean() for low, high in (trunk, inner, total))
    torch.testing.assert_close(stability().value(batch), expected)
    assert len(relu_inputs(net, Interval().states(net, Ball(batch.x, EPS)))) == 3


@pytest.mark.parametrize("make", [conv_net, residual_net])
def test_no_fewer_unstable_relus_than_change_sign_in_samples(make):
    net = as_network(make(0, torch.float64))
    shape = (2, 5, 5) if make is conv_net else (1, 5, 5)
    x = batch_of(net, shape, count=1).x
    inputs = [node.parents[0] for node in net.nodes() if type(node.layer).__name__ == "ReLU"]
    delta = EPS * (2 * torch.rand(500, *shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype) - 1).sign()
    values = net.walk(lambda layer, *v: layer(*v), x + delta)
    changing = sum(((values[i] > 0).any(0) & (values[i] < 0).any(0)).sum().item() for i in inputs)
    units = sum(values[i][0].numel() for i in inputs)
    assert 0 < changing <= unstable_relus(net, Ball(x, EPS)).item() <= units


def test_at_eps_0_no_relu_is_unstable_and_a_huge_ball_leaves_none_stable():
    net = as_network(conv_net(0, torch.float64))
    x = batch_of(net).x
    units = sum(box.center[0].numel() for box in relu_inputs(net, Interval().states(net, Ball(x, 0.0))))
    assert unstable_relus(net, Ball(x, 0.0)).item() == 0
    assert unstable_relus(net, Ball(x, 100.0)).item() == units


def test_gradient_against_finite_differences():
    net = conv_net(0, torch.float64)
    value = stability(clip_input=True).value
    weight = net[2].weight
    (gradient,) = torch.autograd.grad(value(batch_of(net)), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=weight.dtype)
    step, seen = 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * step * direction
            seen.append(value(batch_of(net)).item())
            weight -= sign * step * direction
    slope = (gradient * direction).sum().item()
    assert abs(slope) > 1e-3
    assert (seen[0] - seen[1]) / (2 * step) == pytest.approx(slope, rel=1e-5)


def test_a_net_without_relus_has_nothing_to_stabilise():
    net = nn.Sequential(nn.Flatten(), nn.Linear(50, 3)).double()
    batch = batch_of(net)
    assert stability().value(batch).item() == 0
    assert unstable_relus(batch.net, Ball(batch.x, EPS)).item() == 0


def test_a_wrong_option_is_named():
    with pytest.raises(UserError, match="positions 'men' is not known: did you mean 'mean'"):
        regularizer.check("relu_stability", {"positions": "men"})


@pytest.mark.slow
def test_training_with_it_leaves_fewer_unstable_relus():
    x = digits().test.x[:50].float() / 255
    counts, accuracies = [], []
    for weight, positions in ((0.0, "mean"), (1e-2, "mean"), (1e-3, "sum")):
        term = Term("relu_stability", weight, False, {"clip_input": True, "positions": positions})
        trained = train(model(term, eps="0.05", warmup=0, ramp=20), digits(), torch.device("cpu"))
        counts.append(unstable_relus(trained.net, Ball(x, 0.05, clip_input=True)).item())
        accuracies.append(trained.accuracies["test"])
    assert counts[1] < 0.97 * counts[0]
    assert counts[2] < 0.75 * counts[0]
    assert min(accuracies) > 0.75


def test_max_pooling_counts_no_units():
    net = as_network(pool_net(0, torch.float64))
    x = batch_of(net, (1, 8, 7)).x
    assert [tuple(box.center.shape[1:]) for box in relu_inputs(net, Interval().states(net, Ball(x, EPS)))] == [
        (3, 8, 7)
    ]
