"""Where two bounds are equal, rounding outward must not make a relaxation choose as if they were not."""

import pytest
import torch
from torch import nn

from dmcore.certify import margin_bounds
from dmcore.crown.bounds import linear_bounds, relaxed_network
from dmcore.crown.margins import by_class, margin_rows
from dmcore.nets import as_network
from dmcore.perturbation import Ball

DTYPES = {torch.float32: 1e-3, torch.float64: 1e-11}


@pytest.mark.parametrize("certifier", ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_keeps_the_slope_of_a_relu_whose_input_begins_at_zero(certifier, dtype):
    """A black pixel z ∈ [0, ½] twice: σ(z) − σ(z) + 0.1 is 0.1. With slope 0 below, the bound is −0.4."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 2)).to(dtype)
    net[1].weight.data.fill_(1)
    net[3].weight.data = torch.tensor([[1.0, -1.0], [0.0, 0.0]], dtype=dtype)
    net[3].bias.data = torch.tensor([0.1, 0.0], dtype=dtype)
    x = torch.zeros(1, 1, 1, 1, dtype=dtype)
    margin = margin_bounds(net, x, [0], 0.5, certifier=certifier, clip_input=True)[0, 1]
    assert 0.1 - DTYPES[dtype] <= margin <= 0.1


@pytest.mark.parametrize("dtype", DTYPES)
def test_ada_takes_slope_one_where_a_relu_opens_as_far_to_either_side(dtype):
    """z ∈ [−½, ½]: the two triangles are equal, and slope 1 is the rule for u ≥ −l. The bound of σ(z) is then −½."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2)).to(dtype)
    net[1].weight.data.fill_(1)
    net[1].bias.data.fill_(-0.5)
    net[3].weight.data = torch.tensor([[1.0], [0.0]], dtype=dtype)
    net[3].bias.data.zero_()
    x = torch.full((1, 1), 0.5, dtype=dtype)
    margin = margin_bounds(net, x, [0], 0.5, certifier="cnn-cert-ada")[0, 1]
    assert -0.5 - DTYPES[dtype] <= margin <= -0.5


def on_a_grid(seed):
    """A net without biases whose weights are eighths, two mostly black images in quarters, and ε.

    In float64 its bounds are exact as long as no chord is divided out, so that many of them are equal.
    """
    generator = torch.Generator().manual_seed(seed)

    def chance(count):
        return int(torch.randint(0, count, (1,), generator=generator))

    def eighths(layer, positive):
        layer.weight.data = torch.randint(-4, 5, layer.weight.shape, generator=generator) / 8
        if positive:
            layer.weight.data.abs_()
        return layer

    first = [eighths(nn.Conv2d(1, 2, 2, bias=False), chance(2)), nn.ReLU()]
    second = [eighths(nn.Conv2d(2, 2, 2, bias=False), chance(3)), nn.ReLU()]
    layers = {
        0: [*first, *second],
        1: [*first, nn.MaxPool2d(2, 1)],
        2: [*first, nn.MaxPool2d(2, 1), *second],
        3: [nn.MaxPool2d(2, 1), *first],
    }[chance(4)]
    size = nn.Sequential(*layers, nn.Flatten())(torch.zeros(1, 1, 5, 5)).shape[1]
    last = [eighths(nn.Linear(size, 6, bias=False), chance(3)), nn.ReLU(), eighths(nn.Linear(6, 3, bias=False), False)]
    x = torch.randint(0, 4, (2, 1, 5, 5), generator=generator) / 4
    x[torch.rand(x.shape, generator=generator) < 0.6] = 0
    return nn.Sequential(*layers, nn.Flatten(), *last), x, [0.125, 0.25, 0.5][chance(3)]


@pytest.mark.parametrize("slope", ["relu", "zero"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_that_are_equal_are_treated_so(slope, dtype):
    """Against the same relaxation without rounding."""
    y = torch.tensor([0, 1])
    for seed in range(60):
        net, x, eps = on_a_grid(seed)
        graph, ball = as_network(net.double()), Ball(x.double(), eps, "linf", clip_input=True)
        plain = relaxed_network(graph, ball, slope)
        lower, _ = linear_bounds(plain, graph.output, margin_rows(y, 3, ball.x), upper=False)
        expected = by_class(lower, y, torch.inf)
        got = margin_bounds(net.to(dtype), x.to(dtype), y, eps, certifier=f"cnn-cert-{slope}", clip_input=True)
        lost = (expected - got.double())[got.isfinite()] / (1 + expected.abs())[got.isfinite()]
        assert lost.max() < DTYPES[dtype], seed


@pytest.mark.parametrize("slope", ["ada", "zero"])
def test_float32_chooses_as_float64_does(slope):
    """Room for rounding grows with depth; were all within it equal, these margins would lose a tenth and more."""
    for seed in range(2):
        torch.manual_seed(seed)
        hidden = [layer for _ in range(8) for layer in (nn.Linear(100, 100), nn.ReLU())]
        net = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(100, 10))
        x, y = torch.rand(4, 1, 10, 10), [0] * 4
        wide = margin_bounds(net.double(), x.double(), y, 0.05, certifier=f"cnn-cert-{slope}")
        narrow = margin_bounds(net.float(), x, y, 0.05, certifier=f"cnn-cert-{slope}").double()
        lost = ((wide - narrow) / (1 + wide.abs()))[wide.isfinite()]
        assert 0 < lost.max() < 1e-3
