"""CROWN-IBP against the dense reference, sampling and its two ends."""

import numpy as np
import pytest
import torch
from batches import EPS, batch_of, cross_entropy, reference_margins
from dense_reference import margins_crown_ibp, margins_ibp

from dmcore.errors import UserError
from dmcore.registries import regularizer
from dmcore.regularizers import convex_outer


def crown_ibp(**options):
    return regularizer.get("crown_ibp")(**options)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "chain", "pool"])
@pytest.mark.parametrize(("ramp", "beta_end", "beta"), [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.5, 0.2, 0.6)])
def test_value_by_loops(name, clip, ramp, beta_end, beta):
    batch, steps = batch_of(name, ramp=ramp)
    crown = reference_margins(batch, steps, lambda steps, x, y: margins_crown_ibp(steps, x, y, EPS, clip))
    ibp = reference_margins(batch, steps, lambda steps, x, y: margins_ibp(steps, x, y, EPS, clip))
    worst = -(beta * crown + (1 - beta) * ibp)
    value = crown_ibp(beta_end=beta_end, clip_input=clip).value(batch)
    np.testing.assert_allclose(batch.worst_logits.detach().numpy(), worst, atol=1e-9)
    y = batch.y.tolist()
    expected = cross_entropy(worst.tolist(), y) - cross_entropy(batch.net(batch.x).tolist(), y)
    assert value.item() == pytest.approx(expected, abs=1e-9)


def test_the_ramp_may_be_a_tensor_on_the_device():
    (one, _), (other, _) = batch_of(ramp=0.25), batch_of(ramp=torch.tensor(0.25))
    torch.testing.assert_close(crown_ibp().value(one), crown_ibp().value(other))


@pytest.mark.parametrize("ramp", [0.0, 0.5])
@pytest.mark.parametrize("name", ["conv", "pool"])
def test_no_sampled_margin_is_below_the_bound(name, ramp):
    batch, _ = batch_of(name, ramp=ramp)
    crown_ibp().value(batch)
    generator = torch.Generator().manual_seed(1)
    for _ in range(100):
        delta = EPS * (2 * torch.rand(batch.x.shape, generator=generator, dtype=torch.float64) - 1).sign()
        z = batch.net(batch.x + delta)
        assert (z.gather(1, batch.y[:, None]) - z + batch.worst_logits).min() >= -1e-12


def test_the_same_whatever_part_of_the_batch_fits(monkeypatch):
    whole, _ = batch_of(ramp=0.0)
    value = crown_ibp().value(whole)
    monkeypatch.setitem(convex_outer.PROJECTED_POINTS, "cpu", 2)
    parts, _ = batch_of(ramp=0.0)
    torch.testing.assert_close(crown_ibp().value(parts), value)


def test_a_wrong_beta_is_refused():
    with pytest.raises(UserError, match=r"beta_end is in \[0, 1\], got -1"):
        crown_ibp(beta_end=-1)
