"""Two convolutions with a map of slopes between them, as one convolution of these slopes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.linear.chunks import check_budget
from dmcore.linear.patches import Pair, Patches
from dmcore.nets.layers import Conv
from dmcore.nets.layers.padding import padded
from dmcore.nets.network import Shape


@dataclass(frozen=True, eq=False)
class FusedConvolution:
    """``filters · diag(slopes) · weight``, for all positions of the filters at once.

    Entry u = S·g + r of the grown window of the neuron at p is the sum over the taps m of
    ``filters[o, c, g − m] · slopes[c, p + g − m] · weight[c, r + S·m]``. For one g that is a product of two matrices:
    what the taps see of the slopes, position by position, times a kernel that both layers' filters make. So the
    coefficients come in blocks, one for each g, and need not all be there at once.

    Attributes:
        filters: of the layer behind, for all neurons the same, with a window of stride 1.
        slopes: (B, C, H, W).
        layer: the one before, and ``in_shape`` its input's shape.
    """

    filters: Patches
    slopes: Tensor
    layer: Conv
    in_shape: Shape

    @property
    def taps(self) -> Pair:
        """(my, mx): how many outputs of the layer before reach one of its inputs, on each axis."""
        (kh, kw), (sh, sw) = self.layer.kernel, self.layer.stride
        return -(-kh // sh), -(-kw // sw)

    @property
    def groups(self) -> Pair:
        """(Gy, Gx): how many g there are on each axis."""
        return self.filters.kernel[0] + self.taps[0] - 1, self.filters.kernel[1] + self.taps[1] - 1

    @property
    def entries(self) -> tuple[int, int, int]:
        """(C', Sy, Sx): which entries of a window a block holds."""
        return self.layer.weight.shape[1], *self.layer.stride

    @cached_property
    def _behind(self) -> Tensor:
        """The filters by channel and place: (O, C, ky, kx)."""
        return self.filters.data[0, 0].unflatten(1, (self.filters.shape[0], *self.filters.kernel))

    @cached_property
    def _before(self) -> Tensor:
        """The other layer's, by tap and by phase of its stride: (C, C', my, Sy, mx, Sx)."""
        (my, mx), (sh, sw), weight = self.taps, self.layer.stride, self.layer.weight
        whole = F.pad(weight, (0, mx * sw - weight.shape[3], 0, my * sh - weight.shape[2]))
        return whole.unflatten(3, (mx, sw)).unflatten(2, (my, sh))

    def _reached(self, g: int, axis: int) -> tuple[int, int]:
        """The first and the last tap m for which the filters have an entry g − m."""
        return max(0, g - self.filters.kernel[axis] + 1), min(self.taps[axis] - 1, g)

    @cached_property
    def _rows(self) -> Tensor:
        """The slopes under all taps of all g, row by row: (B, C, rows + Gy − 1, width, my)."""
        (my, mx), (gy, gx), (rows, columns) = self.taps, self.groups, self.filters.grid
        top, left = my - 1 + self.filters.origin[0], mx - 1 + self.filters.origin[1]
        height, width = self.slopes.shape[-2:]
        bottom, right = rows + gy + my - 2 - top - height, columns + gx + mx - 2 - left - width
        return padded(self.slopes, left, right, top, bottom).unfold(2, my, 1)

    def _image(self, gx: int) -> Tensor:
        """What the taps see for one column g_x: (B, rows + Gy − 1, columns, my · taps on x · C)."""
        first, last = self._reached(gx, 1)
        start = gx + self.taps[1] - 1 - last
        cut = self._rows[:, :, :, start : start + self.filters.grid[1] + last - first]
        seen = cut.unfold(3, last - first + 1, 1).permute(0, 2, 3, 4, 5, 1)
        check_budget(seen.numel())
        return seen.flatten(3)

    def _kernel(self, gy: int, gx: int) -> Tensor:
        """(taps on y · taps on x · C, C'·Sy·Sx·O), the last taps first, as the slopes lie in the image."""
        (top, bottom), (left, right) = self._reached(gy, 0), self._reached(gx, 1)
        behind = self._behind[:, :, gy - bottom : gy - top + 1, gx - right : gx - left + 1].permute(2, 3, 1, 0)
        before = self._before[:, :, top : bottom + 1, :, left : right + 1].flip(2, 4).permute(2, 4, 0, 1, 3, 5)
        return (behind[:, :, :, None, None, None] * before[..., None]).flatten(3).flatten(0, 2)

    def column(self, gx: int) -> Iterator[Tensor]:
        """Makes the blocks of one g_x one after the other, by g_y: (B, rows · columns, C'·Sy·Sx, O) each."""
        image, rows = self._image(gx), self.filters.grid[0]
        each = image.shape[3] // self.taps[0]
        entries, filters = torch.Size(self.entries).numel(), len(self._behind)
        check_budget(len(image) * self.filters.positions * entries * filters)
        for gy in range(self.groups[0]):
            first, last = self._reached(gy, 0)
            columns = slice((self.taps[0] - 1 - last) * each, (self.taps[0] - first) * each)
            seen = image[:, gy : gy + rows, :, columns].flatten(1, 2)
            kernel = self._kernel(gy, gx)
            yield torch.bmm(seen, kernel.expand(len(seen), -1, -1)).unflatten(2, (entries, filters))

    @cached_property
    def explicit(self) -> Patches:
        """The product written out, window by window."""
        count = len(self.slopes) * self.filters.positions * len(self._behind)
        if self.filters.unrolled(self.layer, count):
            return self.filters.times(self.slopes).through(self.layer, self.in_shape)
        grown, entries = self.filters.before(self.layer, self.in_shape), self.entries
        size = torch.Size(entries).numel() * self.groups[0] * self.groups[1]
        check_budget(count * size)
        # Filter by filter comes last: until then whole rows of filters are copied.
        columns = [
            torch.stack([block.unflatten(2, entries) for block in self.column(x)], 3) for x in range(self.groups[1])
        ]
        whole = torch.stack(columns, 5).flatten(5, 6).flatten(3, 4)  # (B, P, C', Gy·Sy, Gx·Sx, O)
        inside = whole[:, :, :, : grown.kernel[0], : grown.kernel[1]].flatten(2, 4)
        return replace(grown, data=inside.transpose(2, 3).contiguous())
