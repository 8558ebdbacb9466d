"""Coefficients kept at receptive-field size are the dense ones."""

import pytest
import torch

from dmcore.linear.dense import Dense
from dmcore.linear.patches import Patches
from dmcore.nets.layers import Conv, Normalize, Scale

SHAPE = (2, 7, 6)
GEOMETRIES = {
    "plain": [Conv(2, 3, (3, 3))],
    "strided, uneven padding": [Conv(2, 3, (4, 3), (2, 1), (1, 2, 0, 2)), Conv(3, 2, (2, 2), (1, 2), (0, 1, 1, 0))],
    "stride > kernel": [Conv(2, 3, (2, 1), (3, 2), (1, 0, 0, 1)), Conv(3, 4, (2, 2))],
    "grouped, dilated": [Conv(2, 4, (2, 2), groups=2, padding=(1, 1, 1, 1)), Conv(4, 2, (2, 2), dilation=(2, 2))],
    "window outgrows the image": [Conv(2, 3, (5, 5), padding=(2, 2, 2, 2)), Conv(3, 2, (5, 5), padding=(2, 2, 2, 2))],
    "windows in the padding alone": [
        Conv(2, 3, (1, 2), (7, 7), (0, 9, 3, 0)),
        Conv(3, 2, (1, 1), padding=(0, 0, 2, 0)),
    ],
    "normalised": [Normalize([0.5, 0.1], [0.2, 2.0]), Conv(2, 3, (3, 3), padding=(1, 1, 1, 1))],
    "masked": [
        Scale(torch.linspace(-1, 2, 84).reshape(SHAPE)),
        Conv(2, 3, (3, 3), padding=(1, 1, 1, 1)),
        Scale((torch.arange(126) % 2).float().reshape(3, 7, 6)),
    ],
}


@pytest.mark.parametrize("name", sorted(GEOMETRIES))
@pytest.mark.parametrize("part", [slice(None), slice(1, 3)])
def test_patches_equal_dense(name, part):
    torch.manual_seed(0)
    layers = [layer.double() for layer in GEOMETRIES[name]]
    values = [torch.rand(2, *SHAPE, dtype=torch.float64)]
    for layer in layers:
        values.append(layer(values[-1]))
    shapes = [tuple(v.shape[1:]) for v in values]
    top = shapes[-1]
    rows = slice(*part.indices(top[1]))
    patches = start = Patches.identity(top, rows, values[0])
    eye = torch.eye(torch.Size(top).numel(), dtype=torch.float64).reshape(*top, *top)[:, rows]
    dense = Dense(eye.flatten(0, 2)[None])
    for i in reversed(range(len(layers))):
        scale = torch.rand(2, *shapes[i + 1], dtype=torch.float64) - 0.5
        patches = patches.times(scale).through(layers[i], shapes[i])
        dense = dense.times(scale).through(layers[i], shapes[i])
        for t in (values[i], values[i][:1]):
            torch.testing.assert_close(start.rows(patches.dot(t)), dense.dot(t))
        for change in (torch.abs, torch.relu):
            a, b = patches.map(change), dense.map(change)
            torch.testing.assert_close(start.rows(a.dot(values[i])), b.dot(values[i]))
        order = start.rows(torch.arange(dense.data.shape[1])[None])[0]
        torch.testing.assert_close(patches.dense()[:, order], dense.data.expand_as(patches.dense()))


def test_sums_of_patches_stay_patches_where_they_fit():
    x = torch.rand(1, 2, 5, 5, dtype=torch.float64)
    conv = Conv(2, 2, (3, 3), padding=(1, 1, 1, 1)).double()
    one = Patches.identity((2, 5, 5), slice(0, 5), x)
    wide = one.through(conv, (2, 5, 5))
    assert isinstance(wide + wide, Patches)
    torch.testing.assert_close((wide + wide).dot(x), 2 * wide.dot(x))
    for mixed, sign in ((one + wide, 1), (one - wide, -1)):  # the smaller window inside the larger one
        assert isinstance(mixed, Patches)
        assert mixed.kernel == (3, 3)
        torch.testing.assert_close(mixed.dot(x), one.dot(x) + sign * wide.dot(x))
    up = one.through(Conv(2, 2, (1, 3), padding=(2, 0, 0, 0)).double(), (2, 5, 5))  # neither holds the other
    down = one.through(Conv(2, 2, (3, 1), padding=(0, 0, 0, 2)).double(), (2, 5, 5))
    assert (up + down).kernel == (3, 3)
    torch.testing.assert_close((up + down).dot(x), up.dot(x) + down.dot(x))
    whole = one.through(Conv(2, 2, (7, 7), padding=(3, 3, 3, 3)).double(), (2, 5, 5))  # outgrows the node
    assert isinstance(whole + one, Dense)
    torch.testing.assert_close((whole + one).dot(x), whole.dot(x) + one.dot(x))


def test_a_diagonal_layer_leaves_patches_as_small_as_they_are():
    scale = Scale(torch.rand(2, 5, 5, dtype=torch.float64) - 0.5)
    conv = Conv(2, 2, (3, 3), padding=(1, 1, 1, 1)).double()
    x = torch.rand(1, 2, 5, 5, dtype=torch.float64)
    wide = Patches.identity((2, 5, 5), slice(0, 5), x).through(conv, (2, 5, 5))
    scaled = wide.through(scale, (2, 5, 5))
    assert isinstance(scaled, Patches)
    assert scaled.data.shape[-1] == wide.data.shape[-1]
    torch.testing.assert_close(scaled.dot(x), wide.dot(scale.factor * x))
