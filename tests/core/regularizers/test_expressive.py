"""MTL-IBP, CC-IBP and Exp-IBP against loops in float64, and at their ends."""

import numpy as np
import pytest
import torch
from batches import EPS, PGD, batch_of, cross_entropy, reference_margins, steps_of
from dense_reference import margins_ibp

from dmcore.registries import attack, regularizer


def expressive(blend, alpha, **options):
    return regularizer.get("expressive")(blend, alpha, PGD, **options)


def parts(batch, steps, factor=1.0):
    """CE at the bounds and at the attacked inputs, the margins of both, and the clean CE."""
    y = batch.y.tolist()
    bounds = reference_margins(batch, steps, lambda steps, x, y: margins_ibp(steps, x, y, EPS, clip=True))
    options = {key: value for key, value in PGD.items() if key != "kind"}
    attacked = attack.get("pgd")(**options).perturb(batch.net, batch.x, batch.y, factor * EPS, None)
    logits = batch.net(attacked).detach().numpy()
    margins = np.array([row[label] - row for row, label in zip(logits, y, strict=True)])
    clean = cross_entropy(batch.net(batch.x).tolist(), y)
    return cross_entropy((-bounds).tolist(), y), cross_entropy(logits.tolist(), y), bounds, margins, clean


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("blend", ["mtl", "cc", "exp"])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_value_by_loops(factor, blend, alpha):
    batch, steps = batch_of(), steps_of()
    bounded, attacked, bounds, margins, clean = parts(batch, steps, factor)
    expected = {
        "mtl": alpha * bounded + (1 - alpha) * attacked,
        "cc": cross_entropy((-(alpha * bounds + (1 - alpha) * margins)).tolist(), batch.y.tolist()),
        "exp": bounded**alpha * attacked ** (1 - alpha),
    }[blend]
    value = expressive(blend, alpha, clip_input=True, attack_of_eps=factor).value(batch)
    assert value.item() == pytest.approx(expected - clean, abs=1e-9)
    np.testing.assert_allclose(batch.worst_logits.detach().numpy(), -bounds, atol=1e-9)


@pytest.mark.parametrize("blend", ["mtl", "cc", "exp"])
def test_any_domain_gives_the_margins(blend):
    batch = batch_of()
    value = expressive(blend, 1.0, domain="double_margin").value(batch)
    other = batch_of()
    elided = regularizer.get("worst_case")(domain="double_margin", form="elided").value(other)
    torch.testing.assert_close(value, elided)


def test_a_loss_of_nothing_has_a_finite_slope():
    batch = batch_of()
    with torch.no_grad():
        batch.net.layers[-1].weight.zero_()
        batch.net.layers[-1].bias.copy_(torch.tensor([2000.0, 0, 0, 0]))
    batch.y = torch.zeros_like(batch.y)
    (gradient,) = torch.autograd.grad(expressive("exp", 0.5).value(batch), batch.net.layers[-1].weight)
    assert gradient.isfinite().all()
