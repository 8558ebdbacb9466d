"""Optimised lower lines: boxes inside those of CNN-Cert's variants, and the optimum where it is known."""

import pytest
import torch
from conftest import NETS
from norm_balls import RADII, points
from torch import nn

from dmcore.attacks.evaluate import attack_points
from dmcore.certifiers.alpha import Alpha
from dmcore.certify import certify_points, margin_bounds
from dmcore.crown.bounds import relaxed_network
from dmcore.linear.relaxations import SLOPES
from dmcore.nets import as_network
from dmcore.perturbation import Ball

VARIANTS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero"]
EPS = RADII | {"linf": 0.15}


def others(found):
    """Margins without the columns of the points' own classes."""
    return found[found.isfinite()].reshape(len(found), -1)


def best_of_three(*args, **options):
    return torch.stack([others(margin_bounds(*args, certifier=c, **options)) for c in VARIANTS]).amax(0)


@torch.no_grad()
def test_hidden_boxes_lie_in_the_variants_and_hold_every_value_that_occurs(any_net):
    net, x = as_network(any_net.make(0, torch.float64)), points(any_net.shape, 2)
    ball = Ball(x, 0.15)
    variants = [relaxed_network(net, ball, slope) for slope in SLOPES]
    boxes = Alpha().hidden_boxes(net, ball, variants)
    assert boxes.keys() == variants[0].boxes.keys()
    for i in range(len(x)):
        noise = torch.rand(3000, *any_net.shape, generator=torch.Generator().manual_seed(i), dtype=x.dtype) * 2 - 1
        noise[::2] = noise[::2].sign()
        values = net.walk(lambda layer, *inputs: layer(*inputs), x[i] + 0.15 * noise)
        for node, box in boxes.items():
            assert (values[node] >= box.lower[i] - 1e-9).all()
            assert (values[node] <= box.upper[i] + 1e-9).all()
            for variant in variants:
                assert (box.lower >= variant.boxes[node].lower - 1e-12).all()
                assert (box.upper <= variant.boxes[node].upper + 1e-12).all()


@torch.no_grad()
def test_hidden_boxes_get_narrower_than_what_the_variants_have_in_common():
    net, ball = as_network(NETS["residual"].make(0, torch.float64)), Ball(points(NETS["residual"].shape, 2), 0.15)
    variants = [relaxed_network(net, ball, slope) for slope in SLOPES]
    last = max(variants[0].boxes)
    lower = torch.stack([v.boxes[last].lower for v in variants]).amax(0)
    upper = torch.stack([v.boxes[last].upper for v in variants]).amin(0)
    unstable = (lower < 0) & (upper > 0)
    narrow = Alpha().hidden_boxes(net, ball, variants)[last]
    assert (2 * narrow.radius)[unstable].mean() < 0.95 * (upper - lower)[unstable].mean()


def two_unstable_net(dtype=torch.float64):
    """z₀ − z₁ = σ(x₁ + x₂/2) + σ(x₁ − x₂) − 0.9 x₁; the last term through a ReLU that is always active."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).to(dtype)
    net[1].weight.data = torch.tensor([[1.0, 0.5], [1.0, -1.0], [-0.9, 0.0]], dtype=dtype)
    net[1].bias.data = torch.tensor([0.0, 0.0, 2.0], dtype=dtype)
    net[3].weight.data = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], dtype=dtype)
    net[3].bias.data = torch.tensor([0.0, 2.0], dtype=dtype)
    return net


def two_unstable_bound(first, second):
    """Its bound over ‖x‖∞ ≤ 1 with lower lines αz: −‖α₁ (1, ½) + α₂ (1, −1) − (0.9, 0)‖₁."""
    return -abs(first + second - 0.9) - abs(0.5 * first - second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finds_the_best_slopes_of_a_grid(dtype):
    """The best are 0.6 and 0.3, which leave 0 (the margin at x = 0); the variants' leave −0.35, −1.6 and −0.9."""
    net, x, y = two_unstable_net(dtype), torch.zeros(1, 1, 1, 2, dtype=dtype), torch.tensor([0])
    grid = torch.linspace(0, 1, 101, dtype=torch.float64)
    table = two_unstable_bound(grid[:, None], grid)
    best = table.max().item()
    assert best == pytest.approx(0, abs=1e-12)
    assert divmod(table.argmax().item(), 101) == (60, 30)
    for certifier, slopes in zip(VARIANTS, ((0.5, 0.5), (1, 1), (0, 0)), strict=True):
        expected = two_unstable_bound(*slopes)
        assert margin_bounds(net, x, y, 1.0, certifier=certifier)[0, 1].item() == pytest.approx(expected, abs=1e-4)
    assert margin_bounds(net, x, y, 1.0, certifier="alpha")[0, 1].item() == pytest.approx(best, abs=1e-3)


def test_points_that_a_variant_certifies_are_not_bounded_again(monkeypatch):
    net, y = two_unstable_net(torch.float32), torch.zeros(3, dtype=torch.long)
    net[3].bias.data[0] += 0.1
    x = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 0.0]]).reshape(3, 1, 1, 2)  # far out the first ReLU suffices
    asked = []
    lower = Alpha.lower
    monkeypatch.setattr(Alpha, "lower", lambda *args: asked.append(len(args[2].x)) or lower(*args))
    verdicts = certify_points(net, x, y, 1.0, certifier="alpha", input_range=(0, 4))
    faster = ["ibp", *VARIANTS]
    variants = torch.stack([margin_bounds(net, x, y, 1.0, certifier=c, input_range=(0, 4)).amin(1) for c in faster])
    assert asked == [2]
    assert verdicts.stage.tolist() == [4, 0, 4]  # IBP certifies the second
    assert (variants.amax(0) > 0).tolist() == [False, True, False]
    assert verdicts.certified.all()
    assert verdicts.margin[1] in variants[:, 1]
    alone = margin_bounds(net, x, y, 1.0, certifier="alpha", input_range=(0, 4)).amin(1)
    assert (verdicts.margin == alone)[[0, 2]].all()
    asked.clear()
    certify_points(net, x, 1 - y, 1.0, certifier="alpha", input_range=(0, 4))  # all are misclassified
    certify_points(net, x, y, 0.0, certifier="alpha", input_range=(0, 4))  # the ball is the point
    assert not asked


def test_points_that_an_attack_breaks_are_not_bounded(monkeypatch):
    net, x = NETS["residual"].make(1, torch.float64), points(NETS["residual"].shape, 16)
    y = net(x).argmax(1)
    asked = []
    lower = Alpha.lower
    monkeypatch.setattr(Alpha, "lower", lambda *args: asked.append(len(args[2].x)) or lower(*args))
    whole = margin_bounds(net, x, y, 0.1, certifier="alpha", clip_input=True).amin(1)
    asked.clear()
    verdicts = certify_points(net, x, y, 0.1, certifier="alpha", clip_input=True)
    assert torch.equal(verdicts.certified, whole > 0)
    broken = attack_points(net, x, y, 0.1, restarts=1, steps=20).broken
    assert 0 < sum(asked) == ((verdicts.stage == 4) & ~broken).sum() < (~verdicts.certified).sum()
    apart = certify_points(net, x[:4], y[:4], torch.full((4,), 0.1).double(), certifier="alpha", clip_input=True)
    assert torch.equal(apart.certified, verdicts.certified[:4])


def test_a_net_without_a_relu():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 1, 2), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(1, 3)).double()
    x, y = points((1, 3, 3), 2), torch.tensor([0, 1])
    variants = [margin_bounds(net, x, y, 0.1, certifier=f"cnn-cert-{slope}") for slope in SLOPES]
    torch.testing.assert_close(margin_bounds(net, x, y, 0.1, certifier="alpha"), torch.stack(variants).amax(0))


def test_float32_and_the_option_intersect_ibp(any_net):
    net, x = any_net.make(0), points(any_net.shape, 3, dtype=torch.float32)
    y = net(x).argmax(1)
    both = others(margin_bounds(net, x, y, 0.15, certifier="alpha", intersect_ibp=True))
    assert both.dtype == torch.float32
    assert (both >= best_of_three(net, x, y, 0.15, intersect_ibp=True)).all()
    net = any_net.make(0, torch.float64)
    double = others(margin_bounds(net, x.double(), y, 0.15, certifier="alpha", intersect_ibp=True))
    torch.testing.assert_close(both.double(), double, rtol=0, atol=5e-3)


def test_leaves_the_networks_gradients_alone():
    net, x = two_unstable_net(), torch.zeros(1, 1, 1, 2, dtype=torch.float64)
    kept = net[1].weight.grad = torch.ones_like(net[1].weight)
    margin = margin_bounds(net, x, torch.tensor([0]), 1.0, certifier="alpha")
    assert not margin.requires_grad
    assert net[1].weight.grad is kept
    assert (kept == 1).all()
    assert net[3].weight.grad is None
