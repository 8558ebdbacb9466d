"""Certifiers in all norms: against a dense reference and every point that can be tried, and exact where linear."""

import dense_reference as reference
import pytest
import torch
from conftest import NETS
from norm_balls import RADII, all_changes, attacked_points, farthest, length, random_points
from torch import nn

from dmcore.certify import certify_points, margin_bounds
from dmcore.errors import UserError
from dmcore.nets.layers import Normalize

CERTIFIERS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "ibp"]
NORMS = ["l2", "l1", "l0"]


def points(in_shape, count, seed=0):
    """Random pixels, some of them exactly 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, *in_shape, generator=generator, dtype=torch.float64) * 1.4 - 0.2).clamp(0, 1)


def margins_at(net, x, y):
    z = net(x)
    return z.gather(1, y[:, None]) - z


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("certifier", CERTIFIERS)
@pytest.mark.parametrize("name", ["conv", "pool", "chain", "rows"])
def test_equal_to_the_dense_reference(name, certifier, norm):
    make, in_shape = NETS[name]
    x, eps = points(in_shape, 2), RADII[norm]
    y = torch.tensor([0, 2])
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
            torch.testing.assert_close(ours[i, others], expected, rtol=0, atol=1e-3 if untied else 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
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
@pytest.mark.parametrize("norm", ["linf", *NORMS])
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
            torch.testing.assert_close(bound[i, j], worst.detach())


def test_l0_by_brute_force_on_a_linear_net():
    """Convolutions without a ReLU between, so that windows grow over two paddings; every change of two inputs."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 2, 2, padding=1), nn.Conv2d(2, 2, 2, stride=2, padding=1), nn.Flatten(), nn.Linear(12, 3)
    ).double()
    x, y = points((2, 3, 2), 1), torch.tensor([1])
    tried = torch.stack([x[0], *all_changes(x[0], 2)])
    worst = margins_at(net, tried, y.expand(len(tried))).amin(0)
    for certifier in CERTIFIERS:
        bound = margin_bounds(net, x, y, 2, "l0", certifier)[0]
        torch.testing.assert_close(bound[[0, 2]], worst[[0, 2]].detach())


@pytest.mark.parametrize("norm", NORMS)
def test_zero_is_never_below_ibp(any_net, norm):
    make, in_shape = any_net
    for seed in range(2):
        net, x = make(seed, torch.float64), points(in_shape, 3, seed)
        y = net(x).argmax(1)
        zero, ibp = (margin_bounds(net, x, y, RADII[norm], norm, c) for c in ("cnn-cert-zero", "ibp"))
        others = zero.isfinite()
        assert (zero[others] >= ibp[others] - 1e-9).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("certifier", CERTIFIERS)
def test_at_eps_0_the_margins_themselves_and_less_beyond(any_net, certifier, norm):
    make, in_shape = any_net
    net, x, y = make(0, torch.float64), points(in_shape, 2), torch.tensor([0, 1])
    margins = margins_at(net, x, y).scatter(1, y[:, None], torch.inf)
    previous = margin_bounds(net, x, y, 0, norm, certifier)
    torch.testing.assert_close(previous, margins)
    for eps in (1, 2, 4):
        bound = margin_bounds(net, x, y, eps, norm, certifier)
        if certifier in ("ibp", "cnn-cert-zero"):  # the others may gain where a slope flips
            assert (bound <= previous + 1e-9).all()
        assert (bound <= margins + 1e-9).all()
        previous = bound


@pytest.mark.parametrize(("norm", "used_up"), [("linf", 0.25), ("l2", 0.5 / 2**0.5), ("l1", 0.5), ("l0", 2)])
def test_the_radius_is_where_the_margin_is_used_up(norm, used_up):
    """z₀ − z₁ = x₀ + x₁ − 0.75, at x = (0.625, 0.625): 0.5 falls by ε‖(1, 1)‖; one pixel at 0 leaves −0.125."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    net[1].weight.data = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    net[1].bias.data = torch.tensor([-0.75, 0.0])
    x, y = torch.full((1, 1, 1, 2), 0.625), torch.tensor([0])
    radii = (0, 1, 2) if norm == "l0" else (0.9 * used_up, 1.1 * used_up)
    verdicts = [certify_points(net, x, y, eps, norm).certified.item() for eps in radii]
    assert verdicts == ([True, False, False] if norm == "l0" else [True, False])


def test_part_of_an_input_is_refused():
    make, in_shape = NETS["conv"]
    with pytest.raises(UserError, match=r"l0 eps counts changed inputs: a whole number, not 1\.5") as error:
        margin_bounds(make(0), torch.rand(1, *in_shape), torch.tensor([0]), 1.5, "l0")
    assert "\n" not in str(error.value)
