"""The forward domains in all norms: the first margin by loops, ℓ0 by brute force, gradients, and what a ball holds."""

import math

import dense_reference as reference
import pytest
import torch
from conftest import NETS
from norm_balls import RADII, all_changes, random_points

from dmcore.bounds import double_margins, interval_bounds
from dmcore.domains import DoubleMargin, Interval, IntervalMargin, Magnitude, SingleMargin
from dmcore.errors import UserError
from dmcore.linear import concretize as reach
from dmcore.nets import Network, as_network
from dmcore.nets.layers import Conv, Flatten, Linear, Normalize
from dmcore.perturbation import Ball
from dmcore.registries import regularizer
from dmcore.regularizers import Batch

NORMS = ["l2", "l1", "l0"]
STD = [0.2, 2.0]


def pixels(*shape, seed=0):
    """Random pixels, some of them exactly 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator, dtype=torch.float64) * 1.6 - 0.3).clamp(0, 1)


def first_conv():
    torch.manual_seed(0)
    return Conv(2, 3, (4, 3), (2, 1), (1, 2, 0, 2)).double()


def moves(coefficients, values, eps, norm):
    """(fall, rise) of Σ a x over the ball by its definition, from lists of numbers."""
    if norm == "l0":
        gains = sorted((max(a * (1 - x), -a * x) for a, x in zip(coefficients, values, strict=True)), reverse=True)
        losses = sorted((max(a * x, -a * (1 - x)) for a, x in zip(coefficients, values, strict=True)), reverse=True)
        share = [min(max(eps - rank, 0), 1) for rank in range(len(gains))]
        return tuple(sum(s * g for s, g in zip(share, side, strict=True)) for side in (losses, gains))
    dual = {
        "linf": sum(abs(a) for a in coefficients),
        "l2": math.sqrt(sum(a * a for a in coefficients)),
        "l1": max((abs(a) for a in coefficients), default=0.0),
    }[norm]
    return eps * dual, eps * dual


def conv_moves(conv, x, std, eps, norm):
    """(fall, rise) of a normalisation and a convolution, output by output and weight by weight: (C, H, W) each."""
    (kh, kw), (sh, sw) = conv.kernel, conv.stride
    left, _, top, _ = conv.padding
    out = conv(x[None])[0]
    fall, rise = torch.zeros_like(out), torch.zeros_like(out)
    for o in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                inside = [
                    (conv.weight[o, c, a, b].item() / std[c], x[c, i * sh - top + a, j * sw - left + b].item())
                    for c in range(x.shape[0])
                    for a in range(kh)
                    for b in range(kw)
                    if 0 <= i * sh - top + a < x.shape[1] and 0 <= j * sw - left + b < x.shape[2]
                ]
                fall[o, i, j], rise[o, i, j] = moves(*zip(*inside, strict=True), eps, norm)
    return fall.detach(), rise.detach()


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(
    ("norm", "eps"), [("linf", 0.1), ("l2", 0.7), ("l1", 0.7), ("l0", 1), ("l0", 3), ("l0", 2.25), ("l0", 99)]
)
def test_the_first_margins_by_loops(norm, eps, normalised):
    """A convolution with stride and uneven padding, with a normalisation before it and without."""
    net, std = Network(), STD if normalised else [1.0, 1.0]
    if normalised:
        net.add(Normalize([0.5, 0.1], STD))
    conv = first_conv()
    net.add(conv)
    net.double()
    x = pixels(2, 2, 5, 4)
    z = net(x)
    margins = [domain().output(net, Ball(x, eps, norm)) for domain in (DoubleMargin, SingleMargin, IntervalMargin)]
    lower, upper = Interval().bounds(Interval().output(net, Ball(x, eps, norm)))
    for i in range(len(x)):
        fall, rise = conv_moves(conv, x[i], std, eps, norm)
        torch.testing.assert_close(lower[i], z[i] - fall)
        torch.testing.assert_close(upper[i], z[i] + rise)
        for m in margins:
            assert m.v is None
            torch.testing.assert_close(m.z, z)
            torch.testing.assert_close(m.s.expand_as(z)[i], (fall + rise) / 2)
        torch.testing.assert_close(margins[2].box.upper.expand_as(z)[i], z[i] + rise)


@pytest.mark.parametrize(("norm", "eps"), [("l2", 0.7), ("l1", 0.7), ("l0", 3)])
def test_a_fully_connected_first_layer_behind_normalise_and_flatten(norm, eps):
    torch.manual_seed(0)
    net = Network()
    for layer in (Normalize([0.5, 0.1], STD), Flatten(), Linear(24, 5)):
        net.add(layer)
    net.double()
    x = pixels(3, 2, 4, 3)
    scale = torch.tensor(STD, dtype=torch.float64)[:, None, None].expand(2, 4, 3).flatten()
    rows = (net.layers[2].weight / scale).tolist()
    expected = torch.tensor([[moves(row, v.flatten().tolist(), eps, norm) for row in rows] for v in x]).double()
    lower, upper = interval_bounds(net, x, eps, norm)
    torch.testing.assert_close(net(x) - lower, expected[..., 0], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(upper - net(x), expected[..., 1], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("name", ["conv", "pool", "chain", "rows"])
def test_intervals_equal_the_dense_reference(name, norm):
    make, shape = NETS[name]
    x = pixels(2, *shape)
    for clip in (False, True):
        lower, upper = interval_bounds(make(0, torch.float64), x, RADII[norm], norm, clip)
        steps = reference.matrices(make(0), shape)
        for i in range(len(x)):
            low, high = reference.interval(steps, x[i].flatten().numpy(), RADII[norm], clip, norm)[-1]
            torch.testing.assert_close(lower[i], torch.tensor(low), atol=1e-6, rtol=1e-6)
            torch.testing.assert_close(upper[i], torch.tensor(high), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_l0_by_brute_force(k):
    """Every choice of k inputs and every setting of them to 0 or 1; some windows reach into the padding."""
    torch.manual_seed(0)
    conv = Conv(2, 2, (2, 2), (2, 2), (1, 1, 0, 1)).double()
    net = Network()
    net.add(conv)
    x = pixels(1, 2, 3, 3, seed=1)
    lower, upper = interval_bounds(net, x, k, "l0")
    values = torch.stack([net(point[None])[0] for point in all_changes(x[0], k)])
    values = torch.cat([values, net(x)])  # fewer changes than k are allowed
    torch.testing.assert_close(lower[0], values.amin(0))
    torch.testing.assert_close(upper[0], values.amax(0))


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
    make, shape = any_net
    net, x = as_network(make(0, torch.float64)), pixels(1, *shape)
    size = Magnitude().output(net, Ball(x, RADII[norm], norm))
    assert (net(random_points(x[0], RADII[norm], norm, 2000, 0)).abs() <= size).all()
    if norm == "l0":  # a margin of ±1 on every input holds, too
        assert (size <= Magnitude().output(net, Ball(x, 1.0)) + 1e-9).all()


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_gradients_against_finite_differences(domain, norm):
    """With ε in the middle of a ramp, as a number and as a tensor; the first layer's weights, and a row of zeros."""
    make, shape = NETS["conv"]
    net, eps = make(0, torch.float64), 1.6 if norm == "l0" else 0.3
    x, y = pixels(3, *shape), torch.tensor([0, 1, 2])
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
    make, shape = NETS["conv"]
    net, x = make(0, torch.float64), pixels(2, *shape) * 0.9 + 0.05
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(double_margins(net, x, 2, "l0")[1].sum(), x)
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    up, down = (double_margins(net, (x + h * direction).detach(), 2, "l0")[1].sum().item() for h in (1e-6, -1e-6))
    assert (up - down) / 2e-6 == pytest.approx((gradient * direction).sum().item(), rel=1e-4)


@pytest.mark.parametrize("norm", RADII)
def test_margins_grow_with_eps(any_net, norm):
    make, shape = any_net
    net, x = make(0, torch.float64), pixels(2, *shape)
    before = None
    for eps in (0, 0.3, 1, 1.5, 2, 5):
        lower, upper = (b.detach() for b in Interval().bounds(Interval().output(as_network(net), Ball(x, eps, norm))))
        _, s, v = double_margins(net, x, eps, norm)
        if eps == 0:
            for t in (lower, upper):
                torch.testing.assert_close(t, net(x).detach())
            assert s.abs().max() < 1e-12
            assert v.abs().max() < 1e-12
        if before is not None:
            assert (lower <= before[0] + 1e-9).all()
            assert (upper >= before[1] - 1e-9).all()
        before = (lower, upper)


@pytest.mark.parametrize("norm", RADII)
def test_a_tensor_for_eps_gives_the_same(any_net, norm):
    make, shape = any_net
    net, x = make(0, torch.float64), pixels(2, *shape)
    for clip in (False, True):
        for domain in (Interval, DoubleMargin):
            by_number, by_tensor = (
                domain().bounds(domain().output(as_network(net), Ball(x, eps, norm, clip)))
                for eps in (1.5, torch.tensor(1.5, dtype=torch.float64))
            )
            torch.testing.assert_close(by_tensor, by_number)


def test_ranking_a_few_samples_at_a_time_changes_nothing(monkeypatch):
    make, shape = NETS["conv"]
    net, x = make(0, torch.float64), pixels(5, *shape)
    whole = interval_bounds(net, x, 2, "l0")
    monkeypatch.setattr(reach, "AT_ONCE", 1)
    torch.testing.assert_close(interval_bounds(net, x, 2, "l0"), whole)


@pytest.mark.parametrize("norm", RADII)
def test_an_empty_batch_has_empty_bounds(norm):
    make, shape = NETS["conv"]
    lower, upper = interval_bounds(make(0), torch.zeros(0, *shape), 1, norm)
    assert lower.shape == upper.shape == (0, 4)


def test_part_of_an_input_is_refused():
    make, shape = NETS["conv"]
    with pytest.raises(UserError, match=r"l0 eps counts changed inputs: a whole number, not 0\.5"):
        interval_bounds(make(0), torch.rand(1, *shape), 0.5, "l0")
    double_margins(make(0), torch.rand(1, *shape), 0.5, "l0")  # a ramp passes through fractions
