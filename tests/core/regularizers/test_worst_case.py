"""The regularisers built from a range of logits against loops over samples and classes, in float64."""

import math

import pytest
import torch
from batches import EPS, PGD, batch_of, cross_entropy, reference_margins, steps_of
from dense_reference import margins_ibp

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


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "chain", "pool"])
def test_elided_margins_by_the_dense_reference(name, clip):
    batch = batch_of(name)
    value = regularizer.get("worst_case")(domain="interval", clip_input=clip, form="elided").value(batch)
    margins = reference_margins(batch, steps_of(name), lambda steps, x, y: margins_ibp(steps, x, y, EPS, clip))
    torch.testing.assert_close(batch.worst_logits, -torch.from_numpy(margins))
    y = batch.y.tolist()
    expected = cross_entropy((-margins).tolist(), y) - cross_entropy(batch.logits.tolist(), y)
    assert value.item() == pytest.approx(expected, abs=1e-9)


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
