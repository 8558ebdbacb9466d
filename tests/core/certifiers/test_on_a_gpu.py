"""Certification on a pretended GPU: all of it there and in float64."""

import pytest
import torch
from conftest import MILP, conv_net
from pretended_gpu import GPU, OnGpu, pretended_gpu

from dmcore.certifiers.alpha import Alpha
from dmcore.certify import certify_points, margin_bounds
from dmcore.nets import as_network


@pytest.mark.parametrize("certifier", ["ibp", "cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "alpha", MILP])
def test_certificates_are_those_of_float64(certifier, monkeypatch):
    monkeypatch.setattr(Alpha, "STEPS", 2)
    monkeypatch.setattr(Alpha, "HIDDEN_STEPS", 1)
    torch.manual_seed(0)
    x, y, eps = torch.rand(2, 2, 5, 5), torch.tensor([3, 0]), 0.01
    exact = margin_bounds(conv_net(0).double(), x.double(), y, eps, certifier=certifier)
    with pretended_gpu() as gpu:
        there = as_network(conv_net(0), (2, 5, 5)).to(GPU), OnGpu(x), OnGpu(y), eps
        verdict = certify_points(*there, certifier=certifier)
        assert verdict.certified.device == GPU
        assert not verdict.rechecked.any()
        assert not gpu.mixed
        gpu.forget()  # the class of the clean input is float32's
        found = margin_bounds(*there, certifier=certifier)
        assert found.device == GPU
        assert gpu.kernels["mm"] + gpu.kernels["addmm"] + gpu.kernels["convolution"] > 0
        assert not gpu.narrow
        assert not gpu.mixed
    assert found.value.dtype == verdict.margin.value.dtype == torch.float32
    assert (found.value.double() <= exact + 1e-12).all()  # rounded down
    torch.testing.assert_close(found.value.double(), exact, rtol=1e-6, atol=0)
    assert (verdict.margin.value > 0).tolist() == (exact.amin(1) > 0).tolist() == [True, False]
