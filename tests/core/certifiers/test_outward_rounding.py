"""Outward rounding: a float32 bound is little below the float64 one. That it holds: tests/core/soundness."""

import math
from fractions import Fraction

import pytest
import torch
from caller_states import STATES
from conftest import MILP, NETS
from norm_balls import RADII
from torch import nn

from dmcore.bounds import interval_bounds
from dmcore.certify import certify_points, margin_bounds
from dmcore.crown.bounds import relaxed_network
from dmcore.domains import Interval
from dmcore.domains.rounding import interval_errors, underflow
from dmcore.extras.exact import exact_margins
from dmcore.linear.dense import Dense
from dmcore.linear.patches import Patches
from dmcore.linear.rounding import gamma, outward
from dmcore.nets import as_network
from dmcore.perturbation import Ball

CERTIFIERS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "ibp"]


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
@pytest.mark.parametrize("certifier", ["cnn-cert-relu", "cnn-cert-zero", "ibp"])
def test_float32_is_just_below_float64(any_net, certifier, norm):
    for seed in range(2):
        x = torch.rand(3, *any_net.shape, generator=torch.Generator().manual_seed(seed))
        y = torch.tensor([0, 1, 2])
        single = margin_bounds(any_net.make(seed), x, y, RADII[norm], norm, certifier).double()
        double = margin_bounds(any_net.make(seed, torch.float64), x.double(), y, RADII[norm], norm, certifier)
        others = double.isfinite()
        assert (single[others] <= double[others]).all()
        if not (certifier == "cnn-cert-zero" and any_net is NETS["pool"]):  # whose lines flip where maxima tie
            assert (single[others] >= double[others] - 4e-4).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_hidden_boxes_in_float32_hold_those_in_float64(any_net, norm):
    x = torch.rand(2, *any_net.shape, generator=torch.Generator().manual_seed(0))
    net, exact = as_network(any_net.make(0)), as_network(any_net.make(0, torch.float64))
    with torch.no_grad():
        single = relaxed_network(net, Ball(x, 0.1, norm), "relu", exact=exact).boxes
        double = relaxed_network(exact, Ball(x.double(), 0.1, norm), "relu").boxes
    for index, box in single.items():
        assert (box.lower.double() <= double[index].lower + 1e-12).all()
        assert (box.upper.double() >= double[index].upper - 1e-12).all()


def test_interval_errors_cover_what_float32_is_off(any_net):
    x = torch.rand(2, *any_net.shape, generator=torch.Generator().manual_seed(0))
    net, exact = as_network(any_net.make(0)), as_network(any_net.make(0, torch.float64))
    with torch.no_grad():
        errors = interval_errors(net, Ball(x, 0.1))
        for one, two, error in zip(
            Interval().states(net, Ball(x, 0.1)), Interval().states(exact, Ball(x.double(), 0.1)), errors, strict=True
        ):
            assert ((one.lower.double() - two.lower).abs() <= error.double()).all()


def test_a_bound_that_is_not_a_number_is_no_bound():
    """A hidden value that overflows must not pass for one whose ReLU is dead."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    net[1].weight.data = torch.tensor([[3e38, 3e38], [1.0, 0.0]])
    net[3].bias.data = torch.tensor([1.0, 0.0])
    x, y = torch.ones(1, 1, 1, 2), torch.tensor([0])
    for certifier in CERTIFIERS:
        assert not (margin_bounds(net, x, y, 1.0, certifier=certifier)[0, 1] > 0)
        assert not certify_points(net, x, y, 1.0, certifier=certifier).certified.item()
    net[1].weight.data[1] = torch.nan
    for certifier in CERTIFIERS:
        assert not certify_points(net, x, y, 0.1, certifier=certifier).certified.item()


def test_gamma_and_outward():
    assert gamma(10, torch.float32) == pytest.approx(10 * 2**-24, rel=1e-5)
    assert gamma(10, torch.float64) == pytest.approx(10 * 2**-53)
    assert gamma(2**24, torch.float32) == torch.inf
    third = torch.tensor([1 / 3, -1 / 3, 0.5], dtype=torch.float64)
    down, up = outward(third, torch.float32, -1), outward(third, torch.float32, 1)
    assert (down.double() <= third).all()
    assert (up.double() >= third).all()
    assert (up - down).tolist() == [2**-25, 2**-25, 0.0]  # an exact value stays


@pytest.mark.parametrize("certifier", CERTIFIERS)
@pytest.mark.parametrize("name", sorted(NETS))
def test_no_sum_is_longer_than_the_errors_count(name, certifier, monkeypatch):
    """What is added up over images goes channel by channel (``summation_length``): nothing takes all at once."""
    net = NETS[name].make(0, torch.float32)
    x = torch.rand(2, *NETS[name].shape, generator=torch.Generator().manual_seed(0))
    at_once = []

    def counted(kind, dot):
        def counting(self, t):
            if self.data[0, 0].numel() > self.summation_length:
                at_once.append(self)
            return dot(self, t)

        monkeypatch.setattr(kind, "dot", counting)

    counted(Dense, Dense.dot)
    counted(Patches, Patches.dot)
    margin_bounds(net, x, torch.tensor([0, 1]), 0.1, certifier=certifier)
    assert not [form for form in at_once if not (isinstance(form, Patches) and (form.shared or form.unit))]


@pytest.mark.slow
@pytest.mark.parametrize("state", ["no gradients", "flushing denormals"])
@pytest.mark.parametrize("certifier", ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "alpha", "ibp", MILP])
@pytest.mark.parametrize(
    "weights", [(1e-20, 1e-30, -1e38), (1e-10, 1e-30, -1e38), (1e-38, 1e-2, -1e38), (1, 1e-40, -1e38)]
)
def test_what_vanishes_in_float32_and_comes_back_certifies_nothing(weights, certifier, state):
    """The margin b − |w₁ w₂ w₃| x is below 0 somewhere in the ball, but b alone is above."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 2))
    for layer, weight in zip((net[1], net[3], net[5]), weights, strict=True):
        layer.weight.data.zero_()[0, 0] = weight
        layer.bias.data.zero_()
    product = math.prod(Fraction(net[i].weight[0, 0].item()) for i in (1, 3, 5))
    x, eps = torch.tensor([[0.5]]), 0.1
    for share in (1e-5, 1e-3, 1e-1, 1.0):
        net[5].bias.data[0] = float(-product * Fraction(0.6) * (1 - Fraction(share)))
        assert Fraction(net[5].bias[0].item()) + product * Fraction(0.6) < 0
        with STATES[state]():
            assert not certify_points(net, x, [0], eps, certifier=certifier).certified.any()
            lower = interval_bounds(net, x, eps)[0][0, 0].item()
            if certifier == "milp":
                assert exact_margins(net, x, [0], eps).lower[0, 1] <= 0
        assert lower <= float(Fraction(net[5].bias[0].item()) + product * Fraction(0.6))


def test_underflow_costs_an_ordinary_network_nothing(any_net):
    net, x = as_network(any_net.make(0, torch.float32)), torch.rand(2, *any_net.shape)
    assert underflow(net, Ball(x, 0.1), [net.output], 2.0) < 1e-25
