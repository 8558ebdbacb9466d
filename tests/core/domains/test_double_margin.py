"""Double margins against equations (7) and (8): worked by hand, and evaluated as they are printed."""

import itertools

import pytest
import torch
from conftest import NETS
from torch import nn

from dmcore.bounds import double_margins
from dmcore.nets import as_network
from dmcore.nets.layers import Affine, Flatten, MaxPool, ReLU
from dmcore.perturbation import Ball
from dmcore.registries import forward_domain


def tiny_net():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    for layer, weight, bias in zip(
        net[::2], ([[1, -2], [2, 1]], [[1, -1], [0, 1]], [[1, -3]]), ([0.0, 0.5], [0.0, -2.0], [0.25]), strict=True
    ):
        layer.weight.data = torch.tensor(weight, dtype=torch.float64)
        layer.bias.data = torch.tensor(bias, dtype=torch.float64)
    return net


def test_worked_by_hand():
    """x = (0.5, 0.25), ε = 0.1.

    z¹ = (0, 1.75), s¹ = 0.1·(3, 3) = (0.3, 0.3), v¹ = 0.
    Layer 1: σ(z±s) = (0.3, 2.05), (0, 1.45), σ(z) = (0, 1.75): half ranges (0.15, 0.3), curvature (0.15, 0).
    z² = (0 − 1.75, 1.75 − 2) = (−1.75, −0.25); s² = (0.15 + 0.3, 0.3) = (0.45, 0.3); v² = (0.15, 0).
    Layer 2: σ(z±s) = (0, 0.05), (0, 0): half ranges of s (0, 0.025); of v (0, 0);
    s + v = (0.6, 0.3): curvature ½(0, 0.05) = (0, 0.025).
    z³ = 0.25; s³ = 3·0.025 = 0.075; v³ = 3·(0 + 0.025) = 0.075.
    """
    z, s, v = double_margins(tiny_net(), torch.tensor([[0.5, 0.25]], dtype=torch.float64), 0.1)
    for got, expected in ((z, 0.25), (s, 0.075), (v, 0.075)):
        torch.testing.assert_close(got, torch.tensor([[expected]], dtype=torch.float64))


def printed(net, x, eps, variant="both"):
    """(7) and (8) as the paper prints them, activation and affine layer in one step; max-pools likewise.

    (z, z − s, z + s, v); variation 2 has interval bounds in the place of z ∓ s.
    """

    def apply(f, *ts):
        return [f(t) for t in ts]

    z, s, v = x, torch.full_like(x, eps), torch.zeros_like(x)
    lower, upper = x - eps, x + eps
    for layer in as_network(net).layers:
        if isinstance(layer, Affine):
            z, s, v = layer(z), layer.magnitude(s), layer.magnitude(v)
            middle, half = (upper + lower) / 2, (upper - lower) / 2
            lower, upper = (
                layer(middle) - layer.magnitude(half),
                layer(middle) + layer.magnitude(half),
            )
        elif isinstance(layer, Flatten):
            z, s, v, lower, upper = apply(layer, z, s, v, lower, upper)
        elif isinstance(layer, ReLU | MaxPool):
            low, high = (lower, upper) if variant == "interval" else (z - s, z + s)
            curve = (layer(high + v) + layer(low - v) - 2 * layer(z)).abs() / 2
            v = (layer(z + v) - layer(z - v)) / 2 + curve
            half_range = (layer(z + s) - layer(z - s)) / 2
            if variant == "fastlin" and isinstance(layer, ReLU):
                half_range = torch.where(z.abs() < s, 0.75 * s + z / 2 - z * z / (4 * s), half_range)
            s = half_range
            z, lower, upper = apply(layer, z, lower, upper)
            if variant in ("single", "fastlin"):
                v = torch.zeros_like(v)
    return (z, lower, upper, v) if variant == "interval" else (z, z - s, z + s, v)


@pytest.mark.parametrize("name", ["conv", "pool", "chain"])
@pytest.mark.parametrize(
    ("domain", "variant"),
    [
        ("double_margin", "both"),
        ("single_margin", "single"),
        ("single_prop_fastlin", "fastlin"),
        ("interval_margin", "interval"),
    ],
)
def test_equal_to_the_printed_equations(domain, variant, name):
    domain = forward_domain.get(domain)()
    for seed, eps in itertools.product(range(3), (0.01, 0.1, 0.3)):
        net = NETS[name].make(seed, torch.float64)
        x = torch.rand(4, *NETS[name].shape, dtype=torch.float64)
        m = domain.output(as_network(net), Ball(x, eps))
        z, lower, upper, v = printed(net, x, eps, variant)
        torch.testing.assert_close((m.z, *m.inner), (z, lower, upper))
        torch.testing.assert_close(domain.bounds(m), (lower - v, upper + v))
        assert (m.v is None) == (variant in ("single", "fastlin"))


def test_the_gradient_of_dead_and_constant_neurons_is_finite():
    net = as_network(NETS["conv"].make(0, torch.float64))
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].bias.zero_()
    x = torch.rand(2, *NETS["conv"].shape, dtype=torch.float64)
    forward_domain.get("single_prop_fastlin")().output(net, Ball(x, 0.1)).s.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_v_is_zero_where_all_relus_are_active():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    for layer in (net[0], net[2]):
        layer.bias.data.fill_(20.0)
    _, s, v = double_margins(net, torch.rand(5, 3, dtype=torch.float64), 0.1)
    assert (v == 0).all()
    rows = (net[4].weight.abs() @ net[2].weight.abs() @ net[0].weight.abs()).sum(1) * 0.1
    torch.testing.assert_close(s, rows.detach().expand(5, 2))
