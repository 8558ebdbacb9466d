"""The verdicts: close calls are decided in float64, and wrong predictions are never certified."""

import pytest
import torch
from conftest import one_weight_net

from dmcore.certify import certify_points, margin_bounds


@pytest.mark.parametrize("certifier", ["cnn-cert-relu", "cnn-cert-zero", "ibp"])
def test_the_radius_is_where_the_margin_is_used_up(certifier):
    """At x₀ = 0.75 the margin is 0.5, and ε takes 2ε of it: certified below 0.25, not at 0.25."""
    x, y = torch.full((1, 1, 1, 1), 0.75), torch.tensor([0])
    verdicts = {e: certify_points(one_weight_net(), x, y, e, certifier=certifier) for e in (0.0, 0.2, 0.25, 0.3)}
    assert {e: v.certified.item() for e, v in verdicts.items()} == {0.0: True, 0.2: True, 0.25: False, 0.3: False}
    assert verdicts[0.2].margin.item() == pytest.approx(0.1, abs=1e-5)
    assert verdicts[0.25].rechecked.item()  # a margin of exactly 0 is a close call
    assert not verdicts[0.2].rechecked.item()


@pytest.mark.parametrize("certifier", ["cnn-cert-relu", "alpha"])
def test_a_close_call_is_decided_in_float64_and_keeps_that_margin(certifier):
    """A margin of 2⁻²² is within the rounding of float32's bounds: refused by them, certified by those of float64.

    The first certifier that is asked decides its own close calls: of alpha's that is IBP.
    """
    gap = 2.0**-22
    x, y = torch.full((1, 1, 1, 1), 0.75), torch.tensor([0])
    net = one_weight_net(gap)
    assert not (margin_bounds(net, x, y, 0.25)[0, 1] > 0)
    verdict = certify_points(net, x, y, 0.25, certifier=certifier)
    assert (verdict.rechecked.item(), verdict.certified.item(), verdict.stage.item()) == (True, True, 0)
    assert verdict.margin.item() == pytest.approx(gap, rel=1e-3)


def test_a_wrong_prediction_is_never_certified():
    x, y = torch.full((1, 1, 1, 1), 0.75), torch.tensor([1])
    verdict = certify_points(one_weight_net(), x, y, 0.1)
    assert verdict.predicted.item() == 0
    assert not verdict.certified.item()
    assert verdict.margin.item() < 0
