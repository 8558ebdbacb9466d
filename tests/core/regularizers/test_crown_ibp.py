"""CROWN-IBP against the dense reference."""

import numpy as np
import pytest
from batches import EPS, batch_of, cross_entropy, reference_margins, steps_of
from dense_reference import margins_crown_ibp, margins_ibp

from dmcore.registries import regularizer


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "chain", "pool"])
@pytest.mark.parametrize(("ramp", "beta_end", "beta"), [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.5, 0.2, 0.6)])
def test_value_by_loops(name, clip, ramp, beta_end, beta):
    batch, steps = batch_of(name, ramp=ramp), steps_of(name)
    crown = reference_margins(batch, steps, lambda steps, x, y: margins_crown_ibp(steps, x, y, EPS, clip))
    ibp = reference_margins(batch, steps, lambda steps, x, y: margins_ibp(steps, x, y, EPS, clip))
    worst = -(beta * crown + (1 - beta) * ibp)
    value = regularizer.get("crown_ibp")(beta_end=beta_end, clip_input=clip).value(batch)
    np.testing.assert_allclose(batch.worst_logits.detach().numpy(), worst, atol=1e-9)
    y = batch.y.tolist()
    expected = cross_entropy(worst.tolist(), y) - cross_entropy(batch.net(batch.x).tolist(), y)
    assert value.item() == pytest.approx(expected, abs=1e-9)
