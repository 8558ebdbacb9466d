"""Float32 never certifies what exact arithmetic, or float64, does not: margins at 0, cancellations, long sums."""

import copy
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from soundness.cases import RADII, cases, examples
from soundness.trials import certifiers
from torch import nn

from dmcore.certify import certify_points, margin_bounds
from dmcore.nets.layers import Linear

GAPS = [0.0, 1e-16, 1e-12, 1e-9, 1e-7, 1e-6, 1e-5]


@pytest.mark.parametrize("norm", RADII)
def test_margins_at_0(norm):
    """The last bias puts float64's bound within ±1e-5 of 0, over the size of the numbers: decided alike, or refused."""

    @examples(8)
    @given(cases(norms=[norm], count=1), st.sampled_from(certifiers()), st.sampled_from(GAPS), st.sampled_from([1, -1]))
    def decided(case, name, gap, sign):
        label, size, last = case.y[0], case.margin_size.max(), Linear(*[case.others.shape[1]] * 2).double()
        last.weight.data = torch.eye(len(last.weight)).double()
        case.net.add(last.requires_grad_(False))
        for _ in range(3):  # the bias is float32's, so the gap is met in steps
            moved = last.bias[label] - case.bounds(name)[0].min() + sign * gap * size
            last.bias[label] = moved.float().double()
        verdict, bound = case.verdicts(name), case.bounds(name)[0].min()
        assert bound.abs() <= 1e-4 * size
        if verdict.certified:
            assert bound > 0
            assert (case.net(case.x).argmax(1) == label).all()

    decided()


def exact_margin(rows, x, eps, norm="linf"):
    """The least of Σ rows·x over the ball, not cut, without any rounding; lists of numbers that are exact."""
    eps, rows, x = Fraction(eps), [Fraction(r) for r in rows], [Fraction(v) for v in x]
    at = sum(r * v for r, v in zip(rows, x, strict=True))
    if norm == "linf":
        return at - eps * sum(map(abs, rows))
    if norm == "l1":
        return at - eps * max(map(abs, rows))
    falls = sorted((max(r * v, -r * (1 - v)) for r, v in zip(rows, x, strict=True)), reverse=True)
    return at - sum(falls[: int(eps)])


def assert_rounded_down(net, free, steps, x, eps, norm="linf"):
    """Bounds and verdicts while the last bias goes from where nothing may be certified to where everything should be.

    Args:
        free: the exact margin with a bias of 0.
        steps: what is added to it, around exactly 0.
    """
    x, y, found = x.reshape(1, 1, -1, 1), torch.tensor([0]), []
    for step in steps:
        net[-1].bias[0] = -float(free) + step
        exact = free + Fraction(net[-1].bias[0].item())
        for name in certifiers():
            assert margin_bounds(net, x, y, eps, norm, name)[0, 1].item() <= exact
            found.append(certify_points(net, x, y, eps, norm, name).certified.item())
            assert exact > 0 or not found[-1]
    assert all(found[-len(certifiers()) :])


def two_logits(weights):
    """A network whose margin z₀ − z₁ is Σ weights·x."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(len(weights), 2)).requires_grad_(False)
    net[1].weight[:], net[1].bias[:] = torch.stack([weights, torch.zeros_like(weights)]), 0.0
    return net


def numbers(size, seed, cancelling=False):
    generator = torch.Generator().manual_seed(seed)
    weights, x = torch.randn(size, generator=generator), torch.rand(size, generator=generator)
    if cancelling:  # the sum is a millionth of its terms
        weights = 1e6 * weights
        weights[size // 2 :] = -weights[: size // 2] + torch.randn(size // 2, generator=generator)
        x[size // 2 :] = x[: size // 2]
    return weights, x


@pytest.mark.parametrize("norm", ["linf", "l1", "l0"])
@pytest.mark.parametrize(("cancelling", "size"), [(True, 64), (False, 64), (False, 8192)])
def test_sums_against_exact_arithmetic(cancelling, size, norm):
    for seed in range(2):
        weights, x = numbers(size, seed, cancelling)
        eps, scale = 3 if norm == "l0" else 0.1, float(weights.abs().sum())
        free = exact_margin(weights.tolist(), x.tolist(), eps, norm)
        steps = [step * scale for step in (-1e-3, -1e-6, -1e-8, -1e-10, 0.0, 1e-10, 1e-8, 1e-6, 1e-3)]
        assert_rounded_down(two_logits(weights), free, steps, x, eps, norm)


def test_a_margin_of_exactly_0_is_no_certificate():
    """Each product occurs with both signs, in another order: what is left of the sum, in float64 too, is noise."""
    noise = []
    for seed in range(10):
        weights, x = numbers(500, seed)
        order = torch.randperm(500, generator=torch.Generator().manual_seed(seed))
        net = two_logits(torch.cat([weights, -weights[order]]))
        x = torch.cat([x, x[order]]).reshape(1, 1, 1000, 1)
        for name in certifiers():
            assert not certify_points(net, x, torch.tensor([0]), 0.0, certifier=name).certified
        double = copy.deepcopy(net).double()
        noise.append((double(x.double()) @ torch.tensor([1.0, -1.0]).double()).item())
    assert max(noise) > 0


def test_cancellations_between_two_layers():
    """z = w·x + M (h − h) with M·h up to 10⁸ times z: always active ReLUs whose shares cancel in the last layer."""
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(6, 5, generator=generator)
        first = torch.cat([first, first + 2.0**-20 * torch.randn(6, 5, generator=generator)])
        last = 2.0**16 * torch.randn(6, generator=generator)
        last = torch.cat([last, -last])
        x = torch.rand(5, generator=generator)
        net = nn.Sequential(nn.Flatten(), nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 2)).requires_grad_(False)
        net[1].weight[:], net[1].bias[:] = first, 32.0
        net[3].weight[:], net[3].bias[:] = torch.stack([last, torch.zeros(12)]), 0.0
        exact = list(zip(map(Fraction, last.tolist()), first.tolist(), strict=True))
        rows = [sum(a * Fraction(row[column]) for a, row in exact) for column in range(5)]
        free = exact_margin(rows, x.tolist(), 0.05) + 32 * sum(a for a, _ in exact)
        assert_rounded_down(net, free, (-1e-1, -1e-3, -1e-6, 0.0, 1e-6, 1e-3, 1e8), x, 0.05)
