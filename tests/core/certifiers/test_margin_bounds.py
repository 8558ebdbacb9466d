"""Margin bounds in all norms: the dense reference's, exact where they can be, and no point that can be tried beats one.

That CNN-Cert-Zero is never below IBP, and ℓ0 by brute force: tests/core/soundness.
"""

import dense_reference as reference
import pytest
import torch
from conftest import NETS, conv_net, pool_net
from norm_balls import RADII, attacked_points, farthest, length, margins_at, points, random_points
from torch import nn

from dmcore.certify import margin_bounds
from dmcore.errors import UserError
from dmcore.linear import chunks, patches
from dmcore.nets import as_network
from dmcore.nets.layers import Normalize
from dmcore.registries import certifier as registry

CERTIFIERS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "ibp"]


def test_registry_has_exactly_these():
    assert set(registry.names()) == set(CERTIFIERS) | {"alpha", "milp"}  # the slow ones have tests of their own


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.02), *RADII.items()])
@pytest.mark.parametrize("certifier", CERTIFIERS)
@pytest.mark.parametrize("name", ["conv", "pool", "chain", "rows"])
def test_equal_to_the_dense_reference(name, certifier, norm, eps):
    make, in_shape = NETS[name]
    x, y = points(in_shape, 2), torch.tensor([0, 2])
    steps = reference.matrices(make(0), in_shape)
    for clip in (False, True):
        ours = margin_bounds(make(0, torch.float64), x, y, eps, norm, certifier, clip)
        for i, label in enumerate(y.tolist()):
            flat = x[i].flatten().numpy()
            if certifier == "ibp":
                expected = reference.margins_ibp(steps, flat, label, eps, clip, norm)
            else:
                expected = reference.margins_linear(steps, flat, label, eps, certifier.split("-")[-1], clip, norm)
            others = torch.arange(len(expected)) != label
            untied = name == "pool" and certifier == "cnn-cert-zero"  # room for rounding unties equal maxima
            expected = torch.tensor(expected)[others]
            assert ours[i, label] == torch.inf
            torch.testing.assert_close(ours[i, others], expected, rtol=0, atol=2e-2 if untied else 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("norm", RADII)
def test_never_above_a_margin_that_occurs(any_net, norm):
    """Random points and the whole path of a steepest ascent in the norm; the same points for all certifiers."""
    make, in_shape = any_net
    net, x, eps = make(0, torch.float64), points(in_shape, 2), RADII[norm]
    for i in range(len(x)):
        y = net(x[i : i + 1]).argmax(1)

        def losses(at, y=y):
            return -margins_at(net, at, y.expand(len(at)))

        tried = torch.cat([random_points(x[i], eps, norm, 2000, i), attacked_points(losses, x[i], eps, norm, 40, i)])
        assert (length(tried - x[i], norm) <= eps + 1e-9).all()
        seen = margins_at(net, tried, y.expand(len(tried)))
        inside = ((tried >= 0) & (tried <= 1)).flatten(1).all(1)
        for certifier in CERTIFIERS:
            for clip, occurs in ((False, seen.amin(0)), (True, seen[inside].amin(0))):
                bound = margin_bounds(net, x[i : i + 1], y, eps, norm, certifier, clip)[0]
                others = torch.arange(len(bound)) != y
                assert (bound[others] <= occurs[others] + 1e-9).all()


def linear_net(normalised):
    torch.manual_seed(0)
    first = [Normalize([0.5, 0.1], [0.2, 2.0])] if normalised else []
    layers = [nn.Conv2d(2, 3, (3, 2), stride=2, padding=1), nn.Conv2d(3, 2, 2, padding=1), nn.Flatten()]
    return nn.Sequential(*first, *layers, nn.Linear(24, 5), nn.Linear(5, 3)).double()


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("certifier", CERTIFIERS)
@pytest.mark.parametrize("norm", RADII)
def test_exact_on_a_linear_net(norm, certifier, normalised):
    """The bound is the margin at the worst input of the ball, which is named and tried."""
    net, eps = linear_net(normalised), RADII[norm]
    x, y = points((2, 4, 4), 3), torch.tensor([0, 1, 2])
    bound = margin_bounds(net, x, y, eps, norm, certifier)
    for i in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(net, x[i : i + 1])[0, :, 0].flatten(1)
        for j in range(3):
            if j == y[i]:
                continue
            delta = farthest(jacobian[j] - jacobian[y[i]], x[i].flatten(), eps, norm).reshape(x[i].shape)
            assert length(delta[None], norm).item() <= eps + 1e-9
            worst = margins_at(net, (x[i] + delta)[None], y[i : i + 1])[0, j]
            torch.testing.assert_close(bound[i, j], worst)


@pytest.mark.parametrize("certifier", CERTIFIERS)
def test_exact_when_every_relu_is_dead_or_active(certifier):
    """Biases of ±10 decide every ReLU, so the net is linear on the ball and the bound is attained at a corner."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    net[1].bias.data = torch.tensor([10.0, -10.0] * 4, dtype=torch.float64)
    x, y, eps = points((1, 2, 3), 3), torch.tensor([0, 1, 2]), 0.2
    bound = margin_bounds(net, x, y, eps, certifier=certifier)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 6).reshape(-1, 1, 2, 3)
    for i in range(3):
        exact = margins_at(net, x[i] + eps * signs, y[i].expand(64)).amin(0)
        others = torch.arange(3) != y[i]
        if certifier != "ibp":  # linear bounds lose nothing here
            torch.testing.assert_close(bound[i, others], exact[others])
        assert (bound[i, others] <= exact[others] + 1e-9).all()
    net[1].bias.data.fill_(-10.0)  # all dead: the output is constant
    constant = (net[3].bias[y][:, None] - net[3].bias).scatter(1, y[:, None], torch.inf)
    torch.testing.assert_close(margin_bounds(net, x, y, eps, certifier=certifier), constant.detach())


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("certifier", CERTIFIERS)
def test_at_eps_0_the_margins_themselves_and_less_beyond(any_net, certifier, norm):
    make, in_shape = any_net
    net, x, y = make(0, torch.float64), points(in_shape, 2), torch.tensor([0, 1])
    margins = margins_at(net, x, y).scatter(1, y[:, None], torch.inf)
    previous = margin_bounds(net, x, y, 0, norm, certifier)
    torch.testing.assert_close(previous, margins)
    for eps in (0.05, 0.1, 0.2) if norm == "linf" else (1, 2, 4):
        bound = margin_bounds(net, x, y, eps, norm, certifier)
        if certifier in ("ibp", "cnn-cert-zero"):  # the others may gain where a slope flips
            assert (bound <= previous + 1e-9).all()
        assert (bound <= margins + 1e-9).all()
        previous = bound


@pytest.mark.parametrize(("certifier", "intersect"), [*((name, False) for name in CERTIFIERS), ("cnn-cert-relu", True)])
def test_splitting_the_work_changes_nothing(any_net, certifier, intersect, monkeypatch):
    make, in_shape = any_net
    net, x = make(0, torch.float64), points(in_shape, 6)
    y, options = net(x).argmax(1), {"certifier": certifier, "intersect_ibp": intersect}
    whole = margin_bounds(net, x, y, 0.1, **options)
    one_by_one = torch.cat([margin_bounds(net, x[i : i + 1], y[i : i + 1], 0.1, **options) for i in range(6)])
    torch.testing.assert_close(one_by_one, whole)
    most = max(torch.Size(shape).numel() for shape in as_network(net).shapes(x))
    monkeypatch.setattr(chunks, "BUDGET", 40 * most)  # room for a few neurons of one point at a time
    torch.testing.assert_close(margin_bounds(net, x, y, 0.1, **options), whole)
    monkeypatch.setattr(chunks, "BUDGET", 1)
    if certifier != "ibp":
        with pytest.raises(MemoryError, match="coefficients at once, budget 1"):
            margin_bounds(net, x, y, 0.1, **options)


def test_the_two_ways_to_grow_a_patch_agree(monkeypatch):
    net, x = conv_net(0, torch.float64), points((2, 5, 5), 6)
    y = net(x).argmax(1)
    unrolled = margin_bounds(net, x, y, 0.1)
    monkeypatch.setattr(patches, "UNROLLED", 0)
    torch.testing.assert_close(margin_bounds(net, x, y, 0.1), unrolled)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"certifier": "cnn-cert-rel"}, "unknown certifier 'cnn-cert-rel': did you mean 'cnn-cert-relu'"),
        ({"norm": "linff"}, "unknown norm 'linff': did you mean 'linf'"),
        ({"x": torch.zeros(2, 3, 8, 7)}, "input (3, 8, 7) does not fit the network: layer 0 (Conv2d)"),
        ({"x": torch.zeros(2, 1, 8, 7).double()}, "does not fit the network"),
        ({"net": nn.Sequential(nn.Flatten(), nn.Linear(56, 3), nn.Sigmoid())}, "layer 2 (Sigmoid) cannot be bounded"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"net": pool_net(0), "x": torch.rand(2, 1, 8, 7), "y": torch.tensor([0, 1]), "eps": 0.1} | change
    with pytest.raises(UserError) as error:
        margin_bounds(**arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
