"""The regularisers built from bounds of logits or margins against loops over samples and classes, in float64."""

import math

import pytest
import torch
from batches import EPS, PGD, batch_of, cross_entropy, reference_margins, steps_of
from dense_reference import margins_crown_ibp, margins_ibp, margins_linear

from dmcore.bounds import double_margins, interval_bounds
from dmcore.perturbation import Ball
from dmcore.registries import regularizer
from dmcore.regularizers.worst_case import small_box


def bounds_of(domain, batch, clip):
    if domain == "interval":
        return interval_bounds(batch.net, batch.x, EPS, clip_input=clip)
    z, s, v = double_margins(batch.net, batch.x, EPS)
    return z - s - v, z + s + v


@pytest.mark.parametrize("form", ["worst_logits", "literal"])
@pytest.mark.parametrize(("domain", "clip"), [("interval", True), ("interval", False), ("double_margin", False)])
def test_value_by_loops(domain, clip, form):
    batch = batch_of()
    got = regularizer.get("worst_case")(domain=domain, clip_input=clip, form=form).value(batch)
    lower, upper = bounds_of(domain, batch, clip)
    z = batch.net(batch.x)
    total = 0.0
    for i, y in enumerate(batch.y.tolist()):
        worst = [upper[i, j].item() for j in range(4)]
        if form == "worst_logits":
            worst[y] = lower[i, y].item()
        robust = math.log(sum(math.exp(w) for w in worst)) - lower[i, y].item()
        clean = math.log(sum(math.exp(v) for v in z[i].tolist())) - z[i, y].item()
        total += robust - clean
    assert got.item() == pytest.approx(total / 5, abs=1e-10)


def test_double_margin_hands_on_the_clean_logits_it_has():
    batch = batch_of()
    regularizer.get("worst_case")(domain="double_margin").value(batch)
    torch.testing.assert_close(batch.logits, batch.net(batch.x))


def margins_relu(steps, x, y, eps, clip):
    return margins_linear(steps, x, y, eps, "relu", clip)


def blend(beta):
    return lambda *point: beta * margins_crown_ibp(*point) + (1 - beta) * margins_ibp(*point)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "chain", "pool"])
@pytest.mark.parametrize(
    ("kind", "options", "ramp", "margins"),
    [
        ("worst_case", {"domain": "interval", "form": "elided"}, 1.0, margins_ibp),
        ("convex_outer", {}, 1.0, margins_relu),
        ("crown_ibp", {"beta_end": 0.0}, 0.0, blend(1.0)),
        ("crown_ibp", {"beta_end": 0.0}, 1.0, blend(0.0)),
        ("crown_ibp", {"beta_end": 0.2}, 0.5, blend(0.6)),
    ],
)
def test_margins_and_their_loss_by_the_dense_reference(kind, options, ramp, margins, name, clip):
    batch = batch_of(name, ramp=ramp)
    value = regularizer.get(kind)(**options, clip_input=clip).value(batch)
    worst = -reference_margins(batch, steps_of(name), lambda *point: margins(*point, EPS, clip))
    torch.testing.assert_close(batch.worst_logits, torch.from_numpy(worst), rtol=1e-7, atol=1e-9)
    y = batch.y.tolist()
    expected = cross_entropy(worst.tolist(), y) - cross_entropy(batch.net(batch.x).tolist(), y)
    assert value.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["conv", "residual"])
def test_many_projections_come_close_to_the_convex_outer_bound(name):
    exact, close, rough = (batch_of(name, count=3) for _ in range(3))
    with torch.no_grad():
        values = [
            regularizer.get("convex_outer")(projections=k).value(b) for k, b in ((0, exact), (8_000, close), (3, rough))
        ]
    scale = (exact.worst_logits + exact.logits.gather(1, exact.y[:, None]) - exact.logits).abs().max().item()
    torch.testing.assert_close(close.worst_logits, exact.worst_logits, rtol=0, atol=0.03 * scale)
    assert not torch.allclose(rough.worst_logits, exact.worst_logits, rtol=0, atol=0.03 * scale)
    assert values[1].item() == pytest.approx(values[0].item(), rel=0.05)


@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_elision_never_loosens(domain):
    def worst(form):
        batch = batch_of()
        regularizer.get("worst_case")(domain=domain, form=form).value(batch)
        return batch.worst_logits - batch.worst_logits.gather(1, batch.y[:, None])

    elided, logits = worst("elided"), worst("worst_logits")
    assert (elided <= logits + 1e-12).all()
    assert (elided < logits - 1e-3).any()


@pytest.mark.parametrize("domain", ["interval", "double_margin"])
def test_a_small_box_of_the_whole_ball_is_the_whole_ball(domain):
    """τ = 1, whatever the attack found."""
    whole, small = (batch_of() for _ in range(2))
    values = [
        regularizer.get("worst_case")(domain=domain, clip_input=True, form="elided", around=around).value(batch)
        for batch, around in ((whole, None), (small, PGD))
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
