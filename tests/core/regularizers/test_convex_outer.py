"""Convex outer bounds against the dense reference, sampling and finite differences, in float64."""

import math

import numpy as np
import pytest
import torch
from conftest import NETS, conv_net
from dense_reference import margins_linear, matrices

from dmcore.errors import UserError
from dmcore.linear import chunks as points
from dmcore.nets import as_network
from dmcore.registries import regularizer
from dmcore.regularizers import Batch

EPS = 0.05


def batch_of(name, eps=EPS, seed=0, count=5):
    make, in_shape = NETS[name]
    net = as_network(make(0, torch.float64))
    x = torch.rand(count, *in_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 2, 0])[:count]
    return Batch(net, x, y, eps, torch.Generator().manual_seed(seed))


def convex_outer(**options):
    return regularizer.get("convex_outer")(**options)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "chain", "pool"])
def test_value_by_loops(name, clip):
    batch = batch_of(name)
    got = convex_outer(clip_input=clip).value(batch).item()
    make, in_shape = NETS[name]
    plain = make(0, torch.float64)
    steps, total = matrices(plain, in_shape), 0.0
    for i, y in enumerate(batch.y.tolist()):
        worst = -margins_linear(steps, batch.x[i].flatten().numpy(), y, EPS, "relu", clip)
        np.testing.assert_allclose(batch.worst_logits[i].detach(), worst, atol=1e-9)
        assert worst[y] == 0
        z = plain(batch.x[i : i + 1])[0].tolist()
        total += math.log(sum(math.exp(w) for w in worst)) - (math.log(sum(math.exp(v) for v in z)) - z[y])
    assert got == pytest.approx(total / 5, abs=1e-9)


@pytest.mark.parametrize("clip", [False, True])
def test_no_sampled_margin_is_below_the_bound(any_net, clip):
    name = next(n for n, net in NETS.items() if net is any_net)
    batch = batch_of(name)
    convex_outer(clip_input=clip).value(batch)
    generator = torch.Generator().manual_seed(1)
    slack = math.inf
    for _ in range(200):
        delta = EPS * (2 * torch.rand(batch.x.shape, generator=generator, dtype=torch.float64) - 1).sign()
        x = batch.x + delta
        z = batch.net(x.clamp(0, 1) if clip else x)
        true = z.gather(1, batch.y[:, None]) - z
        slack = min(slack, (true + batch.worst_logits).min().item())
    assert -1e-12 <= slack < 1


def finite_difference(name, options, eps=EPS):
    """The derivative along a random direction of all parameters, by autograd and by differences."""
    random, step = torch.Generator().manual_seed(2), 1e-6
    directions = [torch.randn(p.shape, generator=random, dtype=torch.float64) for p in batch_of(name).net.parameters()]
    seen = []
    for sign in (0, 1, -1):
        batch = batch_of(name, eps)
        parameters = list(batch.net.parameters())
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter += sign * step * direction
        value = convex_outer(**options).value(batch)
        if sign:
            seen.append(value.item())
        else:
            gradients = torch.autograd.grad(value, parameters, allow_unused=True)
            pairs = [(g, d) for g, d in zip(gradients, directions, strict=True) if g is not None]
            seen.append(sum((g * d).sum().item() for g, d in pairs))
    return seen[0], (seen[1] - seen[2]) / (2 * step)


@pytest.mark.parametrize("name", sorted(NETS))
def test_gradient_against_finite_differences(name):
    gradient, difference = finite_difference(name, {})
    assert gradient == pytest.approx(difference, rel=1e-5)
    assert abs(gradient) > 1e-3


@pytest.mark.parametrize("name", ["conv", "residual"])
@pytest.mark.parametrize("clip", [False, True])
def test_gradient_through_projections_against_finite_differences(name, clip):
    gradient, difference = finite_difference(name, {"projections": 7, "clip_input": clip})
    assert gradient == pytest.approx(difference, rel=1e-5)
    assert abs(gradient) > 1e-3


@pytest.mark.parametrize("projections", [0, 5])
def test_the_gradient_of_dead_neurons_is_finite(projections):
    """Behind a layer that is off for all inputs nothing varies: u − l = 0."""
    batch = batch_of("conv")
    first = batch.net.layers[0]
    with torch.no_grad():
        first.bias.fill_(-100.0)
    convex_outer(projections=projections).value(batch).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in batch.net.parameters())
    assert batch.net.layers[-1].bias.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["conv", "residual"])
def test_many_projections_come_close_to_the_bound(name):
    exact, close, rough = (batch_of(name, count=3) for _ in range(3))
    with torch.no_grad():
        values = [convex_outer(projections=k).value(b) for k, b in ((0, exact), (8_000, close), (3, rough))]
    scale = (exact.worst_logits + exact.logits.gather(1, exact.y[:, None]) - exact.logits).abs().max().item()
    torch.testing.assert_close(close.worst_logits, exact.worst_logits, rtol=0, atol=0.03 * scale)
    assert not torch.allclose(rough.worst_logits, exact.worst_logits, rtol=0, atol=0.03 * scale)
    assert values[1].item() == pytest.approx(values[0].item(), rel=0.05)


@pytest.mark.parametrize("projections", [0, 5])
def test_nothing_to_regularise_at_eps_0(projections):
    assert abs(convex_outer(projections=projections).value(batch_of("conv", eps=0.0)).item()) < 1e-12


def test_the_same_whatever_part_of_the_batch_fits(monkeypatch):
    whole = batch_of("conv")
    value = convex_outer().value(whole)
    monkeypatch.setitem(points.TRAINING_POINTS, "cpu", 1)
    parts = batch_of("conv")
    torch.testing.assert_close(convex_outer().value(parts), value)
    torch.testing.assert_close(parts.worst_logits, whole.worst_logits)


def test_the_numbers_come_from_the_batchs_generator():
    def value(seed):
        return convex_outer(projections=5).value(batch_of("conv", seed=seed)).item()

    assert value(0) == value(0) != value(1)


def test_wrong_options_are_refused():
    with pytest.raises(UserError, match="projections must be ≥ 0"):
        convex_outer(projections=-1)
    batch = batch_of("conv")
    with pytest.raises(UserError, match="random projections need a generator"):
        convex_outer(projections=5).value(Batch(batch.net, batch.x, batch.y, EPS))
    with pytest.raises(UserError, match="no rule for the layer MaxPool"):
        convex_outer(projections=5).value(batch_of("pool"))


def test_plain_networks_share_the_weights():
    net = conv_net(0, torch.float64)
    batch = Batch(as_network(net), torch.rand(2, 2, 5, 5, dtype=torch.float64), torch.tensor([0, 1]), EPS)
    convex_outer().value(batch).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
