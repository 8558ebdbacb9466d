"""The regularisers built from a range of logits against loops over samples and classes, in float64."""

import math

import batches
import pytest
import torch
from conftest import conv_net
from dense_reference import margins_ibp

from dmcore.bounds import double_margins, interval_bounds
from dmcore.errors import UserError
from dmcore.nets import as_network
from dmcore.perturbation import Ball
from dmcore.registries import regularizer
from dmcore.regularizers import Batch
from dmcore.regularizers.worst_case import small_box

EPS = 0.05


def batch_of(net, eps=EPS):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(6, 2, 5, 5, generator=generator, dtype=torch.float64)
    return Batch(as_network(net), x, torch.tensor([0, 1, 2, 3, 0, 1]), eps)


def bounds_of(domain, net, batch, clip):
    if domain == "interval":
        return interval_bounds(net, batch.x, batch.eps, clip_input=clip)
    z, s, v = double_margins(net, batch.x, batch.eps)
    return z - s - v, z + s + v


@pytest.mark.parametrize("form", ["worst_logits", "literal"])
@pytest.mark.parametrize(("domain", "clip"), [("interval", True), ("interval", False), ("double_margin", False)])
def test_value_by_loops(domain, clip, form):
    net = conv_net(0, torch.float64)
    batch = batch_of(net)
    got = regularizer.get("worst_case")(domain=domain, clip_input=clip, form=form).value(batch)
    lower, upper = bounds_of(domain, net, batch, clip)
    z = net(batch.x)
    total = 0.0
    for i, y in enumerate(batch.y.tolist()):
        worst = [upper[i, j].item() for j in range(4)]
        if form == "worst_logits":
            worst[y] = lower[i, y].item()
        robust = math.log(sum(math.exp(w) for w in worst)) - lower[i, y].item()
        clean = math.log(sum(math.exp(v) for v in z[i].tolist())) - z[i, y].item()
        total += robust - clean
    assert got.item() == pytest.approx(total / 6, abs=1e-10)


@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_the_objective_is_the_two_cross_entropies_mixed(domain):
    """L + λR = (1−λ)·CE(z, y) + λ·CE(z*, y)."""
    net = conv_net(0, torch.float64)
    batch = batch_of(net)
    value = regularizer.get("worst_case")(domain=domain).value(batch)
    clean = torch.nn.functional.cross_entropy(net(batch.x), batch.y)
    robust = torch.nn.functional.cross_entropy(batch.worst_logits, batch.y)
    torch.testing.assert_close(clean + 0.3 * value, 0.7 * clean + 0.3 * robust)


@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_gradient_against_finite_differences(domain):
    net = conv_net(0, torch.float64)
    value = regularizer.get("worst_case")(domain=domain).value
    weight = net[2].weight
    (gradient,) = torch.autograd.grad(value(batch_of(net)), weight)
    torch.manual_seed(1)
    direction, step = torch.randn_like(weight), 1e-6
    seen = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * step * direction
            seen.append(value(batch_of(net)).item())
            weight -= sign * step * direction
    assert (seen[0] - seen[1]) / (2 * step) == pytest.approx((gradient * direction).sum().item(), rel=1e-4)


@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_nothing_to_regularise_at_eps_0(domain):
    value = regularizer.get("worst_case")(domain=domain).value(batch_of(conv_net(0, torch.float64), eps=0.0))
    assert abs(value.item()) < 1e-12


def test_interval_bounds_the_loss_of_every_perturbed_input():
    net = conv_net(0, torch.float64)
    batch = batch_of(net)
    value = regularizer.get("worst_case")(domain="interval").value(batch)
    torch.manual_seed(0)
    for _ in range(50):
        delta = EPS * (torch.rand_like(batch.x) * 2 - 1).sign()
        loss = torch.nn.functional.cross_entropy(net(batch.x + delta), batch.y)
        assert loss <= batch.clean_loss + value + 1e-12


def test_double_margin_hands_on_the_clean_logits_it_has():
    net = conv_net(0, torch.float64)
    batch = batch_of(net)
    regularizer.get("worst_case")(domain="double_margin").value(batch)
    torch.testing.assert_close(batch.logits, net(batch.x))


def test_an_unknown_domain_is_named():
    with pytest.raises(UserError, match="unknown forward domain 'intervl': did you mean 'interval'"):
        regularizer.get("worst_case")(domain="intervl")


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "chain", "pool"])
def test_elided_margins_by_the_dense_reference(name, clip):
    batch, steps = batches.batch_of(name)
    value = regularizer.get("worst_case")(domain="interval", clip_input=clip, form="elided").value(batch)
    margins = batches.reference_margins(batch, steps, lambda steps, x, y: margins_ibp(steps, x, y, EPS, clip))
    torch.testing.assert_close(batch.worst_logits, -torch.from_numpy(margins))
    y = batch.y.tolist()
    expected = batches.cross_entropy((-margins).tolist(), y) - batches.cross_entropy(batch.logits.tolist(), y)
    assert value.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_elision_never_loosens(domain):
    def worst(form):
        batch = batch_of(conv_net(0, torch.float64))
        regularizer.get("worst_case")(domain=domain, form=form).value(batch)
        return batch.worst_logits - batch.worst_logits.gather(1, batch.y[:, None])

    elided, logits = worst("elided"), worst("worst_logits")
    assert (elided <= logits + 1e-12).all()
    assert (elided < logits - 1e-3).any()


@pytest.mark.parametrize("domain", ["interval", "double_margin"])
def test_a_small_box_of_the_whole_ball_is_the_whole_ball(domain):
    """τ = 1, whatever the attack found."""
    whole, small = (batch_of(conv_net(0, torch.float64)) for _ in range(2))
    values = [
        regularizer.get("worst_case")(domain=domain, clip_input=True, form="elided", around=around).value(batch)
        for batch, around in ((whole, None), (small, batches.PGD))
    ]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("clip", [False, True])
def test_a_small_box_lies_in_the_ball_and_around_the_input_if_it_can(clip):
    x = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round(decimals=1)
    ball = Ball(x, 0.3, clip_input=clip)
    at = x + 0.3 * (2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1)
    at = at.clamp(0, 1) if clip else at
    small = small_box(ball, at, 0.4)
    low, high = small.center - small.radius, small.center + small.radius
    torch.testing.assert_close(small.radius, 0.4 * ball.radius.expand_as(x))
    assert (low >= ball.center - ball.radius - 1e-12).all()
    assert (high <= ball.center + ball.radius + 1e-12).all()
    assert ((low <= at + 1e-12) & (at <= high + 1e-12)).all()
    fits = (at - ball.center).abs() <= 0.6 * ball.radius
    torch.testing.assert_close(small.center[fits], at[fits])
    assert 0.3 < fits.double().mean() < 0.9


def test_what_cannot_be_a_small_box_is_refused():
    worst_case = regularizer.get("worst_case")
    with pytest.raises(UserError, match=r"share is in \(0, 1\], got 0"):
        worst_case(domain="interval", around=batches.PGD, share=0)
    with pytest.raises(UserError, match="give around, too"):
        worst_case(domain="interval", share=0.5)
    with pytest.raises(UserError, match="of the norm linf, not l2"):
        worst_case(domain="interval", around=batches.PGD, share=0.5, norm="l2")
