"""Batch normalisation against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from dmcore.nets.layers import BatchNorm

SHAPES = {"image": (7, 3, 4, 5), "features": (7, 3)}


def layer(image):
    torch.manual_seed(0)
    norm = BatchNorm(3, image).double()
    torch.nn.init.normal_(norm.weight)  # some are negative
    torch.nn.init.normal_(norm.bias)
    return norm


@pytest.mark.parametrize("kind", SHAPES)
def test_values_and_gradients_are_torchs(kind):
    norm, x = layer(kind == "image"), (3 * torch.randn(SHAPES[kind], dtype=torch.float64) + 1).requires_grad_()
    pull = torch.randn_like(x)
    norm.observe(x)
    expected = F.batch_norm(x, None, None, norm.weight, norm.bias, training=True)
    torch.testing.assert_close(norm(x), expected)
    parts = x, norm.weight, norm.bias
    torch.testing.assert_close(
        torch.autograd.grad((norm(x) * pull).sum(), parts), torch.autograd.grad((expected * pull).sum(), parts)
    )


def test_statistics_are_not_kept_with_the_weights():
    assert set(layer(image=True).state_dict()) == {"weight", "bias"}
