"""Convex outer bounds against the dense reference, in float64."""

import numpy as np
import pytest
import torch
from batches import EPS, batch_of, cross_entropy, reference_margins, steps_of
from dense_reference import margins_linear

from dmcore.registries import regularizer


def convex_outer(**options):
    return regularizer.get("convex_outer")(**options)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "chain", "pool"])
def test_value_by_loops(name, clip):
    batch = batch_of(name)
    value = convex_outer(clip_input=clip).value(batch)
    worst = -reference_margins(
        batch, steps_of(name), lambda steps, x, y: margins_linear(steps, x, y, EPS, "relu", clip)
    )
    np.testing.assert_allclose(batch.worst_logits.detach().numpy(), worst, atol=1e-9)
    y = batch.y.tolist()
    expected = cross_entropy(worst.tolist(), y) - cross_entropy(batch.net(batch.x).tolist(), y)
    assert value.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["conv", "residual"])
def test_many_projections_come_close_to_the_bound(name):
    exact, close, rough = (batch_of(name, count=3) for _ in range(3))
    with torch.no_grad():
        values = [convex_outer(projections=k).value(b) for k, b in ((0, exact), (8_000, close), (3, rough))]
    scale = (exact.worst_logits + exact.logits.gather(1, exact.y[:, None]) - exact.logits).abs().max().item()
    torch.testing.assert_close(close.worst_logits, exact.worst_logits, rtol=0, atol=0.03 * scale)
    assert not torch.allclose(rough.worst_logits, exact.worst_logits, rtol=0, atol=0.03 * scale)
    assert values[1].item() == pytest.approx(values[0].item(), rel=0.05)
