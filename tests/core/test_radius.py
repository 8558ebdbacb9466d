"""Certified radii: where they are known in closed form, and that both ends of a bisection are what they say."""

import math
from functools import partial

import pytest
import torch
from conftest import NETS, one_weight_net
from linear_nets import DUAL, linear_net, uniform
from norm_balls import all_changes

from dmcore import radius
from dmcore.certify import certify_points, verdicts
from dmcore.errors import UserError
from dmcore.nets import as_network
from dmcore.radius import certified_radius

NORMS = ["linf", "l2", "l1", "l0"]
points = partial(uniform, dtype=torch.float32)


@pytest.mark.parametrize("certifier", ["cnn-cert-relu", "ibp"])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_a_linear_nets_radius_is_its_margin_over_the_dual_norm(norm, certifier):
    net, x = linear_net(12, 4).float(), points((3, 4), 20)
    z, w = net(x).detach().double(), net[1].weight.detach().double()
    y = z.argmax(1)
    found = certified_radius(net, x, y, norm, certifier, tolerance=0.001)
    for i in range(len(x)):
        others = [j for j in range(4) if j != y[i]]
        known = min(((z[i, y[i]] - z[i, j]) / (w[y[i]] - w[j]).norm(DUAL[norm])).item() for j in others)
        assert found.radius[i].item() <= known * (1 + 1e-5)
        assert found.refused[i].item() >= known * (1 - 1e-4)
        assert found.refused[i].item() <= found.radius[i].item() * (1.001 + 1e-12)
    assert found.radius.unique().numel() > 10


def test_under_l0_it_is_the_whole_number_that_brute_force_finds():
    """A few changed inputs at their ends are the worst case of a linear net; every input counts a little here."""
    net, x = linear_net(6, 3).float(), points((6,), 12)
    net[1].weight.data *= 0.5
    net[1].bias.data = torch.tensor([0.6, 0.0, 0.2])
    y = net(x).argmax(1)
    found = certified_radius(net, x, y, "l0")
    for i in range(len(x)):
        first = math.inf
        for k in range(6, 0, -1):
            changed = torch.stack(list(all_changes(x[i], k)))
            if (net(changed).argmax(1) != y[i]).any():
                first = k
        assert found.refused[i].item() == first
        assert found.radius[i].item() == min(first - 1, 6)
    assert found.radius.unique().numel() > 2


@pytest.mark.slow
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_every_radius_is_certified_and_every_upper_end_is_not(norm, clip):
    net, x = as_network(NETS["residual"].make(0)), points(NETS["residual"].shape, 6)
    y = net(x).argmax(1)
    for certifier in ("cnn-cert-ada", "ibp"):
        found = certified_radius(net, x, y, norm, certifier, clip, tolerance=0.1)
        for i in range(len(x)):
            one = (net, x[i : i + 1], y[i : i + 1])
            assert certify_points(*one, found.radius[i].item(), norm, certifier, clip).certified.item()
            if found.refused[i] < math.inf:
                assert not certify_points(*one, found.refused[i].item(), norm, certifier, clip).certified.item()
        if norm != "l0":
            inner = (found.radius > 0) & found.refused.isfinite()
            assert inner.any()
            assert (found.refused[inner] <= found.radius[inner] * 1.1 + 1e-12).all()


def test_misclassified_points_have_none_and_the_ends_of_the_range_are_said():
    """z₀ − z₁ = 2x₀ − 1: at 0.75 the radius is 0.25, at 0.5 + 2⁻²⁴ less than any that is tried, at 0.25 none for 0."""
    net = one_weight_net()
    x, y = torch.tensor([[0.75], [0.5 + 2**-20], [0.25]]), torch.zeros(3).long()
    found = certified_radius(net, x, y)
    assert 0.25 / 1.01 < found.radius[0].item() < 0.25 < found.refused[0].item() <= found.radius[0].item() * 1.0101
    assert (found.radius[1].item(), found.refused[1].item()) == (0.0, pytest.approx(1e-6))
    assert found.radius[2].isnan()
    assert found.refused[2].isnan()
    small = certified_radius(net, x, y, upper="1/5")
    assert (small.radius[0].item(), small.refused[0].item()) == (0.2, math.inf)
    assert certified_radius(net, x[:0], y[:0]).radius.shape == (0,)


def test_points_that_ask_for_the_same_radius_are_certified_together(monkeypatch):
    asked = []

    def counted(net, balls, *more):
        asked.append(len(balls.x))
        return verdicts(net, balls, *more)

    monkeypatch.setattr(radius, "verdicts", counted)
    net, x = linear_net(6, 3).float(), points((6,), 1).expand(7, -1)
    found = certified_radius(net, x, net(x).argmax(1), tolerance=0.01)
    assert found.radius.unique().numel() == 1
    assert set(asked) == {7}
    assert len(asked) <= 1 + math.ceil(math.log2(math.log(1e6) / math.log(1.01) + 3))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"upper": 0.0}, "upper must be a finite radius > 0"),
        ({"upper": 1.5, "norm": "l0"}, "a whole number, not 1.5"),
        ({"tolerance": 0.0}, "tolerance must be a number > 0"),
        ({"norm": "l3"}, "unknown norm 'l3'"),
    ],
)
def test_what_cannot_be_bisected_is_refused(options, told):
    with pytest.raises(UserError, match=told):
        certified_radius(linear_net(4, 2).float(), points((4,), 1), torch.zeros(1).long(), **options)
