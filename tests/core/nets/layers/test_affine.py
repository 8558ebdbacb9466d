"""An affine layer's four answers agree with each other and with torch."""

from random import Random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dmcore.errors import UserError
from dmcore.nets import as_network
from dmcore.nets.layers import Affine, BatchNorm, Conv, Linear, Normalize, Scale, Sum
from dmcore.nets.layers.affine import same_padding


def observed(norm, x):
    norm.observe(x)
    return norm


LAYERS = {
    "conv": (lambda: Conv(2, 3, (3, 2), (2, 1), (1, 2, 0, 1)), (2, 6, 5)),
    "conv, stride > kernel": (lambda: Conv(1, 2, (2, 2), (3, 3)), (1, 8, 7)),
    "conv, dilated": (lambda: Conv(2, 4, (2, 3), dilation=(2, 1), padding=(1, 1, 2, 0)), (2, 6, 5)),
    "conv, grouped": (lambda: Conv(4, 6, (3, 3), groups=2), (4, 5, 5)),
    "conv, no bias": (lambda: Conv(1, 2, (1, 1), bias=False), (1, 3, 3)),
    "linear": (lambda: Linear(7, 4), (7,)),
    "batch norm": (lambda: observed(BatchNorm(2, image=True), torch.rand(5, 2, 3, 4)), (2, 3, 4)),
    "batch norm, features": (lambda: observed(BatchNorm(3, image=False), torch.rand(5, 3)), (3,)),
    "normalize": (lambda: Normalize([0.1, 0.5], [0.2, 3.0]), (2, 3, 4)),
    "scale": (lambda: Scale(torch.tensor([[[1.0, -2.0, 0.0], [0.5, 0.0, 1.0]]])), (1, 2, 3)),
    "scale, flat": (lambda: Scale(torch.tensor([1.0, 0.0, -0.5, 3.0])), (4,)),
}


@pytest.mark.parametrize("seed", range(4))
def test_the_transpose_of_any_convolution_is_its_gradient(seed):
    """Of any kernel, stride (also beyond it), padding (also beyond it), dilation and groups."""
    random, tried = Random(seed), 0
    torch.manual_seed(seed)
    while tried < 100:
        groups, channels = random.choice([1, 1, 1, 2]), random.randint(1, 6)
        kernel, stride, dilation = ((random.randint(1, most), random.randint(1, most)) for most in (4, 5, 2))
        padding = tuple(random.randint(0, 4) for _ in range(4))
        conv = Conv(channels * groups, 2 * groups, kernel, stride, padding, dilation, groups).double()
        shape = (channels * groups, random.randint(1, 7), random.randint(1, 7))
        lines = zip(shape[1:], (padding[2] + padding[3], padding[0] + padding[1]), kernel, dilation, strict=True)
        if any(size + added <= (k - 1) * step for size, added, k, step in lines):
            continue
        x = torch.zeros(2, *shape, dtype=torch.float64, requires_grad=True)
        z = conv.linear(x)
        g = torch.randn_like(z)
        (expected,) = torch.autograd.grad(z, x, g)
        torch.testing.assert_close(conv.transpose(g, shape), expected, msg=f"{conv}, {shape}")
        tried += 1


@pytest.fixture(params=sorted(LAYERS))
def layer_and_shape(request):
    make, shape = LAYERS[request.param]
    torch.manual_seed(0)
    layer = make().double()
    for p in layer.parameters():
        nn.init.normal_(p)
    return layer, shape


def matrix_of(function, shape):
    eye = torch.eye(torch.Size(shape).numel(), dtype=torch.float64).reshape(-1, *shape)
    return function(eye).flatten(1).T


def test_linear_magnitude_transpose_offset(layer_and_shape):
    layer, shape = layer_and_shape
    w = matrix_of(layer.linear, shape)
    torch.testing.assert_close(matrix_of(layer.magnitude, shape), w.abs())
    out_shape = layer(torch.zeros(1, *shape, dtype=torch.float64)).shape[1:]
    torch.testing.assert_close(matrix_of(lambda g: layer.transpose(g, shape), out_shape), w.T)
    for most, used in zip(layer.terms(), ((w != 0).sum(1), (w != 0).sum(0)), strict=True):
        assert used.max() <= most
    x = torch.randn(3, *shape, dtype=torch.float64)
    offset = torch.zeros(out_shape, dtype=torch.float64) if layer.offset() is None else layer.offset()
    torch.testing.assert_close(layer(x), (x.flatten(1) @ w.T).reshape(3, *out_shape) + offset)


def test_a_layer_that_does_not_say_its_terms_is_refused():
    class Half(Affine):
        pass

    with pytest.raises(UserError, match=r"Half does not say how many products it adds up: give it terms\(\)"):
        Half().terms()


@pytest.mark.parametrize("padding", [0, 2, (1, 2), "same", "valid"])
def test_equal_to_torch_and_sharing_its_weights(padding):
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(2, 4, (4, 3), padding=padding), nn.Flatten())
    ours, x = as_network(theirs), torch.randn(2, 2, 7, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ours.layers[0].weight is theirs[0].weight


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (28, 4, 2, (1, 1)),
        (28, 4, 1, (1, 2)),
        (14, 4, 1, (1, 2)),
        (28, 3, 2, (0, 1)),
        (32, 3, 1, (1, 1)),
        (5, 1, 3, (0, 0)),
    ],
)
def test_tensorflows_same_padding(size, kernel, stride, expected):
    assert same_padding(size, kernel, stride) == expected


def test_a_scale_has_no_weight_to_penalise():
    assert Scale(torch.ones(3)).weight_rows() is None


def test_factors_that_would_turn_radii_around_are_refused():
    for std in ([0.5, 0.0], [-0.5, 1.0], [float("nan"), 1.0]):
        with pytest.raises(UserError, match="std must be > 0 in every channel"):
            Normalize([0.0, 0.0], std)
    for scale in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="scale of a sum must be > 0"):
            Sum(scale)


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 2, 1, 2)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (2, 1)])
def test_a_convolution_as_one_matrix_product_is_the_convolution(padding, stride):
    conv = Conv(3, 5, (4, 4), stride, padding).double()
    x = torch.rand(2, 3, 9, 8, dtype=torch.float64)
    for bias in (None, conv.bias):
        expected = conv._conv(x, conv.weight, bias)
        torch.testing.assert_close(conv._product(F.pad(x, padding), conv.weight, bias), expected)
