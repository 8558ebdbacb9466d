"""Float32 never certifies what exact arithmetic, or float64, does not: margins at 0, cancellations, long sums."""

import copy
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from soundness.descriptions import RADII, cases, examples
from soundness.trials import Trial, certifiers
from torch import nn

from dmcore.certify import certify_points

GAPS = [0.0, 1e-16, 1e-12, 1e-9, 1e-7, 1e-6, 1e-5]


@pytest.mark.parametrize("norm", RADII)
def test_margins_at_0(norm):
    """The last bias puts float64's bound within ±1e-5 of 0, over the size of the numbers: decided alike, or refused."""

    @examples(8)
    @given(cases(norms=[norm]), st.sampled_from(certifiers()), st.sampled_from(GAPS), st.sampled_from([1, -1]))
    def decided(case, name, gap, sign):
        trial = Trial(replace(case, members=case.members[:1], bare=False), count=1)
        label, bias = trial.y[0], trial.net.layers[-1].bias
        for _ in range(3):  # the bias is float32's, so the gap is met in steps
            least = trial.bounds(name)[0].min()
            bias[label] = (bias[label] - least + sign * gap * trial.margin_size[0].max()).float().double()
        verdict, bound = trial.verdicts(name), trial.bounds(name)[0].min()
        assert bound.abs() <= 1e-4 * trial.margin_size[0].max()
        if verdict.certified:
            assert bound > 0
            assert (trial.net(trial.x).argmax(1) == label).all()

    decided()


def exact_margin(rows, bias, x, eps, norm):
    """The least of Σ rows·x + bias over the ball, not cut, without any rounding; lists of numbers that are exact."""
    eps, rows, x = Fraction(eps), [Fraction(r) for r in rows], [Fraction(v) for v in x]
    at = sum((r * v for r, v in zip(rows, x, strict=True)), Fraction(bias))
    if norm == "linf":
        return at - eps * sum(map(abs, rows))
    if norm == "l1":
        return at - eps * max(map(abs, rows))
    falls = sorted((max(r * v, -r * (1 - v)) for r, v in zip(rows, x, strict=True)), reverse=True)
    return at - sum(falls[: int(eps)])


def two_logits(weights):
    """A network whose margin z₀ − z₁ is Σ weights·x."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(len(weights), 2)).requires_grad_(False)
    net[1].weight[:], net[1].bias[:] = torch.stack([weights, torch.zeros_like(weights)]), 0.0
    return net


def numbers(kind, size, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(size, generator=generator)
    if kind == "cancelling":  # the sum is a millionth of its terms
        weights = 1e6 * weights
        weights[size // 2 :] = -weights[: size // 2] + torch.randn(size // 2, generator=generator)
    x = torch.rand(size, generator=generator)
    if kind == "cancelling":
        x[size // 2 :] = x[: size // 2]
    return weights, x


@pytest.mark.parametrize("norm", ["linf", "l1", "l0"])
@pytest.mark.parametrize(("kind", "size"), [("cancelling", 64), ("plain", 64), ("plain", 8192)])
def test_sums_against_exact_arithmetic(kind, size, norm):
    """The bias goes from where nothing may be certified to where everything should be, in steps around exactly 0."""
    for seed in range(2):
        weights, x = numbers(kind, size, seed)
        net, eps = two_logits(weights), 3 if norm == "l0" else 0.1
        rows, pixels = weights.tolist(), x.tolist()
        free, scale = exact_margin(rows, 0, pixels, eps, norm), float(weights.abs().sum())
        found = []
        for step in [-1e-3, -1e-6, -1e-8, -1e-10, 0.0, 1e-10, 1e-8, 1e-6, 1e-3]:
            net[1].bias[0] = -float(free) + step * scale
            exact = free + Fraction(net[1].bias[0].item())
            verdicts = [
                certify_points(net, x.reshape(1, 1, size, 1), torch.tensor([0]), eps, norm, name).certified.item()
                for name in certifiers()
            ]
            assert exact > 0 or not any(verdicts)
            found.append(all(verdicts))
        assert found[-1]  # not all is refused


def test_a_margin_of_exactly_0_is_no_certificate():
    """Each product occurs with both signs, in another order: what is left of the sum, in float64 too, is noise."""
    noise = []
    for seed in range(10):
        weights, x = numbers("plain", 500, seed)
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
        through = [
            [Fraction(a) * Fraction(b) for b in row] for a, row in zip(last.tolist(), first.tolist(), strict=True)
        ]
        rows = [sum(column) for column in zip(*through, strict=True)]
        free = exact_margin(rows, 32 * sum(map(Fraction, last.tolist())), x.tolist(), 0.05, "linf")
        for step in (-1e-1, -1e-3, -1e-6, 0.0, 1e-6, 1e-3):
            net[3].bias[0] = -float(free) + step
            exact = free + Fraction(net[3].bias[0].item())
            for name in certifiers():
                verdict = certify_points(net, x.reshape(1, 1, 5, 1), torch.tensor([0]), 0.05, certifier=name)
                assert exact > 0 or not verdict.certified
        net[3].bias[0] = 1e8
        assert certify_points(net, x.reshape(1, 1, 5, 1), torch.tensor([0]), 0.05).certified
