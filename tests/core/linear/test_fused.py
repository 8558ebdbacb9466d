"""Coefficients made block by block are those that two convolutions write out."""

import pytest
import torch

from dmcore.linear import patches
from dmcore.linear.fused import FusedConvolution, FusedPatches
from dmcore.linear.patches import Patches
from dmcore.nets.layers import Conv, Normalize

SHAPE = (2, 12, 11)
PAIRS = {
    "plain": (Conv(2, 3, (3, 3)), Conv(3, 4, (2, 2))),
    "the small network's": (Conv(2, 3, (4, 4), (2, 2), (1, 1, 1, 1)), Conv(3, 4, (4, 4), padding=(1, 2, 1, 2))),
    "uneven": (Conv(2, 3, (4, 3), (2, 1), (1, 2, 0, 2)), Conv(3, 2, (3, 2), padding=(0, 1, 2, 0))),
    "kernel not a multiple of the stride": (Conv(2, 3, (3, 5), (2, 3), (1, 1, 1, 1)), Conv(3, 2, (2, 2))),
    "stride > kernel": (Conv(2, 3, (1, 2), (2, 3)), Conv(3, 4, (2, 2), padding=(1, 1, 1, 1))),
    "one tap": (Conv(2, 3, (1, 1)), Conv(3, 2, (1, 1))),
}


@pytest.fixture(params=sorted(PAIRS))
def pair(request):
    """Two products of the same filters and different slopes: (lazy, written out) of each."""
    torch.manual_seed(0)
    below, above = (layer.double() for layer in PAIRS[request.param])
    x = torch.rand(2, *SHAPE, dtype=torch.float64)
    z = below(x)
    top, middle = tuple(above(z).shape[1:]), tuple(z.shape[1:])
    filters = Patches.identity(top, slice(0, top[1]), x).through(above, middle)
    grown, made = filters.before(below, SHAPE), []
    for _ in range(2):
        slopes = (torch.rand(2, *middle, dtype=torch.float64) - 0.3).requires_grad_()
        fused = FusedConvolution(filters, slopes, below, grown)
        made.append((FusedPatches(((1, fused),)), filters.times(slopes).through(below, SHAPE)))
    return x, made


def same(one, two):
    torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gradients", [False, True])
def test_sums_over_windows(pair, gradients):
    x, ((lazy, written), _) = pair
    with torch.set_grad_enabled(gradients):
        for t in (x, x[:1]):
            same(lazy.dot(t), written.mask().dot(t))
            same(lazy.abs_dot(t), written.abs_dot(t))
            same(lazy.square_dot(t), written.square_dot(t))


@pytest.mark.parametrize("unrolled", [0, patches.UNROLLED])
def test_written_out(pair, unrolled, monkeypatch):
    """By blocks, or as one product with the convolution's matrix."""
    monkeypatch.setattr(patches, "UNROLLED", unrolled)
    _, ((lazy, written), (other, others)) = pair
    assert lazy.explicit.same_windows(written)
    same(lazy.explicit.mask().data, written.mask().data)
    same((lazy - other).explicit.mask().data, (written - others).mask().data)
    same((other + written).explicit.mask().data, (others + written).mask().data)
    assert isinstance(written - other, Patches)  # and not every coefficient of the node's
    same((written - other).mask().data, (written - others).mask().data)


@torch.no_grad()
def test_two_sums_at_once_are_each_alone(pair):
    x, ((lazy, written), (other, others)) = pair
    lower, upper = lazy - other, lazy + other
    assert isinstance(lower, FusedPatches)
    for one, two, first, second in (
        (lower, upper, written - others, written + others),
        (lazy, other, written, others),
        (lazy, lazy, written, written),
    ):
        low, high = one.abs_dots(two, x)
        same(low, first.abs_dot(x))
        same(high, second.abs_dot(x))


@torch.no_grad()
def test_behind_a_normalisation(pair):
    x, ((lazy, written), (other, others)) = pair
    layer = Normalize([0.5, 0.1], [0.2, 2.0]).double()
    scaled, written = lazy.through(layer, SHAPE), written.through(layer, SHAPE)
    assert isinstance(scaled, FusedPatches)
    same(scaled.abs_dot(x), written.abs_dot(x))
    same(scaled.square_dot(x), written.square_dot(x))
    same(scaled.dot(x), written.dot(x))
    twice = scaled.times(-x)
    same(twice.abs_dot(x), written.times(-x).abs_dot(x))
    same(twice.dot(x), written.times(-x).dot(x))
    low, high = scaled.abs_dots(other, x)  # of different scales
    same(low, written.abs_dot(x))
    same(high, others.abs_dot(x))


def test_gradients_reach_the_slopes(pair):
    x, ((lazy, written), _) = pair
    slopes = lazy.terms[0][1].slopes
    (ours,) = torch.autograd.grad(lazy.abs_dot(x).sum(), slopes)
    (theirs,) = torch.autograd.grad(written.abs_dot(x).sum(), slopes)
    same(ours, theirs)
    assert ours.abs().sum() > 0


def test_rounding_knows_how_much_was_added_up(pair):
    """The longest sum is that of the blocks, until the coefficients were written out."""
    _, ((lazy, written), _) = pair
    fused = lazy.terms[0][1]
    blocks = fused.groups[0] * fused.groups[1] + torch.Size(fused.entries).numel()
    assert lazy.summation_length == blocks
    assert lazy.map(torch.relu).summation_length == written.summation_length
    assert lazy.summation_length == max(blocks, written.summation_length)
