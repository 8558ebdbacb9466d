"""Two convolutions with a map of slopes between them, as one convolution of these slopes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dmcore.domains.linear_relaxation.budget import check_budget
from dmcore.domains.linear_relaxation.patches import Pair, Patches
from dmcore.layers.padding import padded


@dataclass(frozen=True, eq=False)
class Joint:
    """``filters · diag(slopes) · weight``, for all positions of the filters at once.

    Entry u = S·g + r of the grown window of the neuron at p is the sum over the taps m of
    ``filters[o, c, g − m] · slopes[c, p + g − m] · weight[c, r + S·m]``. For one g that is a product of two matrices:
    what the taps see of the slopes, position by position, times a kernel that both layers' filters make. So the
    coefficients come in blocks, one for each g, and need not all be there at once.

    Attributes:
        slopes: (B, C, H, W).
        filters: of the layer behind, (O, C, ky, kx).
        phases: weight of the layer before, by tap and by phase of its stride: (C, C', my, Sy, mx, Sx).
        base: the windows of the filters, of stride 1.
    """

    slopes: Tensor
    filters: Tensor
    phases: Tensor
    base: Patches

    @property
    def taps(self) -> Pair:
        """(my, mx): how many outputs of the layer before reach one of its inputs, on each axis."""
        return self.phases.shape[2], self.phases.shape[4]

    @property
    def groups(self) -> Pair:
        """(Gy, Gx): how many g there are on each axis."""
        return self.base.kernel[0] + self.taps[0] - 1, self.base.kernel[1] + self.taps[1] - 1

    @property
    def entries(self) -> tuple[int, int, int]:
        """(C', Sy, Sx): which entries of a window a block holds."""
        return self.phases.shape[1], self.phases.shape[3], self.phases.shape[5]

    def _reached(self, g: int, axis: int) -> tuple[int, int]:
        """The first and the last tap m for which the filters have an entry g − m."""
        return max(0, g - self.base.kernel[axis] + 1), min(self.taps[axis] - 1, g)

    @cached_property
    def _rows(self) -> Tensor:
        """The slopes with every row that a tap sees: (B, C, rows + Gy − 1, W', my), W' one wider than any window."""
        (my, mx), (gy, gx), (rows, columns) = self.taps, self.groups, self.base.grid
        top, left = my - 1 + self.base.origin[0], mx - 1 + self.base.origin[1]
        height, width = self.slopes.shape[-2:]
        bottom, right = rows + gy + my - 2 - top - height, columns + gx + mx - 2 - left - width
        return padded(self.slopes, left, right, top, bottom).unfold(2, my, 1)

    def _image(self, gx: int) -> Tensor:
        """What the taps see for one column g_x: (B, rows + Gy − 1, columns, my · taps on x · C)."""
        first, last = self._reached(gx, 1)
        start = gx + self.taps[1] - 1 - last
        cut = self._rows[:, :, :, start : start + self.base.grid[1] + last - first]
        seen = cut.unfold(3, last - first + 1, 1).permute(0, 2, 3, 4, 5, 1)
        check_budget(seen.numel())
        return seen.flatten(3)

    def _kernel(self, gy: int, gx: int) -> Tensor:
        """(taps on y · taps on x · C, C'·Sy·Sx·O), the last taps first, as the slopes lie in the image."""
        (top, bottom), (left, right) = self._reached(gy, 0), self._reached(gx, 1)
        behind = self.filters[:, :, gy - bottom : gy - top + 1, gx - right : gx - left + 1].permute(2, 3, 1, 0)
        before = self.phases[:, :, top : bottom + 1, :, left : right + 1].flip(2, 4).permute(2, 4, 0, 1, 3, 5)
        return (behind[:, :, :, None, None, None] * before[..., None]).flatten(3).flatten(0, 2)

    def column(self, gx: int) -> Iterator[Tensor]:
        """Makes the blocks of one g_x one after the other, by g_y: (B, rows · columns, C'·Sy·Sx, O) each."""
        image, rows = self._image(gx), self.base.grid[0]
        each = image.shape[3] // self.taps[0]
        entries, filters = torch.Size(self.entries).numel(), len(self.filters)
        check_budget(len(image) * self.base.positions * entries * filters)
        for gy in range(self.groups[0]):
            first, last = self._reached(gy, 0)
            columns = slice((self.taps[0] - 1 - last) * each, (self.taps[0] - first) * each)
            seen = image[:, gy : gy + rows, :, columns].flatten(1, 2)
            kernel = self._kernel(gy, gx)
            yield torch.bmm(seen, kernel.expand(len(seen), -1, -1)).unflatten(2, (entries, filters))

    @cached_property
    def data(self) -> Tensor:
        """All coefficients, window by window: (B, P, O, C'·kh·kw) with kh = Gy·Sy, kw = Gx·Sx."""
        (gy, gx), (channels, sy, sx) = self.groups, self.entries
        check_budget(len(self.slopes) * self.base.positions * len(self.filters) * channels * gy * sy * gx * sx)
        blocks = torch.stack([torch.stack(list(self.column(x))) for x in range(gx)])  # (Gx, Gy, B, P, C'·Sy·Sx, O)
        order = blocks.unflatten(4, (channels, sy, sx)).permute(2, 3, 7, 4, 1, 5, 0, 6)
        return order.flatten(3)
