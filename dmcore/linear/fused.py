"""Coefficients that are not multiplied out until they must be.

The first two steps back from a convolution are its own filters, the same at all positions, and the slopes of the layer
below, which differ from place to place: :class:`ScaledFilters`. When a convolution follows, both steps are one
convolution of the map of slopes with a kernel that the two layers' filters make together: :class:`FusedConvolution`,
whose coefficients are made block by block while they are added up (:class:`FusedPatches`), and never stored. The
backward substitution enters here, with :func:`scaled`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.linear.chunks import check_budget
from dmcore.linear.coefficients import Coefficients
from dmcore.linear.dense import add_product
from dmcore.linear.patches import Pair, Patches
from dmcore.nets.layers import Affine, Conv, Diagonal
from dmcore.nets.layers.affine import padded
from dmcore.nets.network import Shape


def scaled(c: Coefficients, slopes: Tensor) -> Coefficients:
    """``c · diag(slopes)``, slopes (B, *shape); deferred where c are a convolution's own filters."""
    return ScaledFilters(c, slopes) if isinstance(c, Patches) and c.shared else c.times(slopes)


@dataclass(frozen=True, eq=False)
class ScaledFilters(Coefficients):
    """``filters · diag(slopes)``: shared patches and a map (B, C, H, W)."""

    filters: Patches
    slopes: Tensor

    @cached_property
    def explicit(self) -> Patches:
        return self.filters.times(self.slopes)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        fused = self._fused(layer, in_shape) if isinstance(layer, Conv) else None
        return self.explicit.through(layer, in_shape) if fused is None else FusedPatches(((1, fused),))

    def _fused(self, layer: Conv, in_shape: Shape) -> FusedConvolution | None:
        """Both convolutions as one; None where that is not possible, or takes longer."""
        windows = self.filters.before(layer, in_shape)
        if windows is None or self.filters.stride != (1, 1) or layer.dilation != (1, 1) or layer.groups != 1:
            return None
        if self.filters.kernel == (1, 1):  # blocks of a single tap are too small to be worth it
            return None
        fused = FusedConvolution(self.filters, self.slopes, layer, windows)
        channels, (kh, kw) = layer.weight.shape[1], layer.kernel
        # Phases of a stride hold the kernel and zeros; a transposed convolution always fills 8 channels.
        arithmetic = torch.Size(fused.entries).numel() * fused.taps[0] * fused.taps[1]
        return fused if arithmetic <= kh * kw * max(channels, 8) else None


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
        layer: the one before.
        windows: the grown windows over its input, without coefficients.
    """

    filters: Patches
    slopes: Tensor
    layer: Conv
    windows: Patches

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
        check_budget(seen.numel(), seen.device)
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
        check_budget(len(image) * self.filters.positions * entries * filters, image.device)
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
            return self.filters.times(self.slopes).grown(self.layer, self.windows)
        size = torch.Size(self.entries).numel() * self.groups[0] * self.groups[1]
        check_budget(count * size, self.slopes.device)
        # Filter by filter comes last: until then whole rows of filters are copied.
        columns = [
            torch.stack([block.unflatten(2, self.entries) for block in self.column(x)], 3)
            for x in range(self.groups[1])
        ]
        whole = torch.stack(columns, 5).flatten(5, 6).flatten(3, 4)  # (B, P, C', Gy·Sy, Gx·Sx, O)
        height, width = self.windows.kernel
        inside = whole[:, :, :, :height, :width].flatten(2, 4)
        return replace(self.windows, data=inside.transpose(2, 3).contiguous())


@dataclass(frozen=True, eq=False)
class FusedPatches(Coefficients):
    """``(fused ± fused ± …) · diag(scale)`` over the same windows, as long as only sums of sizes are asked for.

    Attributes:
        terms: what is added up, each with its sign; the first one's is 1.
        scale: (B or 1, C, H, W); None: 1.
    """

    terms: tuple[tuple[int, FusedConvolution], ...]
    scale: Tensor | None = None

    @property
    def windows(self) -> Patches:
        """The windows, without coefficients."""
        return self.terms[0][1].windows

    @cached_property
    def explicit(self) -> Patches:
        total = self._signed_sum([fused.explicit.data for _, fused in self.terms])
        patches = replace(self.windows, data=total)
        return patches if self.scale is None else patches.times(self.scale)

    @property
    def reusable(self) -> Patches:
        """Written out: each sum would make all blocks again."""
        return self.explicit

    def abs_dot(self, t: Tensor) -> Tensor:
        return _sums([self], t, _abs)[0]

    def square_dot(self, t: Tensor) -> Tensor:
        return _sums([self], t, _square)[0]

    def abs_dots(self, other: Coefficients, t: Tensor) -> tuple[Tensor, Tensor]:
        """``|A| t`` of both: (B, P·O) each; what is in both is made once."""
        if not isinstance(other, FusedPatches) or not self._aligned(other):
            return super().abs_dots(other, t)
        one, two = _sums([self, other], t, _abs)
        return one, two

    def _aligned(self, other: FusedPatches) -> bool:
        """Whether the blocks of both stand for the same entries, scaled alike."""
        return self.scale is other.scale and self.windows.same_windows(other.windows)

    @property
    def summation_length(self) -> int:
        """How many numbers one after the other go into what has been added up so far, at most."""
        first = self.terms[0][1]
        in_blocks = first.groups[0] * first.groups[1] + torch.Size(first.entries).numel()
        return max(in_blocks, self.explicit.summation_length) if "explicit" in self.__dict__ else in_blocks

    def __add__(self, other: Coefficients) -> Coefficients:
        if isinstance(other, FusedPatches) and self._aligned(other):
            return replace(self, terms=self.terms + other.terms)
        return self.explicit + other.explicit

    def __sub__(self, other: Coefficients) -> Coefficients:
        if isinstance(other, FusedPatches) and self._aligned(other):
            return replace(self, terms=self.terms + tuple((-sign, fused) for sign, fused in other.terms))
        return self.explicit - other.explicit

    def times(self, t: Tensor) -> FusedPatches:
        return replace(self, scale=t if self.scale is None else self.scale * t)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        if isinstance(layer, Diagonal):
            like = self.terms[0][1].slopes
            return self.times(layer.linear(torch.ones(1, *in_shape, dtype=like.dtype, device=like.device)))
        return self.explicit.through(layer, in_shape)

    def beneath(self, t: Tensor) -> Tensor:
        """What the blocks' entries multiply in t (B, C, H, W): (B, rows + Gy − 1, columns + Gx − 1, C·Sy·Sx, 1)."""
        fused = self.terms[0][1]
        (_, sy, sx), (gy, gx), (rows, columns) = fused.entries, fused.groups, self.windows.grid
        (top, left), (height, width) = self.windows.origin, ((rows + gy - 1) * sy, (columns + gx - 1) * sx)
        cut = padded(t, left, width - left - t.shape[3], top, height - top - t.shape[2])
        phases = cut.unflatten(3, (-1, sx)).unflatten(2, (-1, sy)).permute(0, 2, 4, 1, 3, 5)
        return phases.flatten(3)[..., None]

    def _signed_sum(self, parts: Sequence[Tensor]) -> Tensor:
        """The sum of one tensor of each term; of a single one the tensor itself."""
        total = parts[0]
        for (sign, _), part in zip(self.terms[1:], parts[1:], strict=True):
            total = torch.add(total, part, alpha=sign)
        return total

    def block(self, made: dict[FusedConvolution, Tensor], alone: bool) -> Tensor:
        """The sum of one block of each term, a tensor that may be changed."""
        total = self._signed_sum([made[fused] for _, fused in self.terms])
        return total if alone or len(self.terms) > 1 else total.clone()


def _sums(forms: Sequence[FusedPatches], t: Tensor, size: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The sum of ``size(coefficient) · t`` of each of the forms, whose windows and scale are the same: (B, P·O)."""
    scale, (rows, columns) = forms[0].scale, forms[0].windows.grid
    beneath = forms[0].beneath(t if scale is None else size(scale.clone()) * t)
    convolutions = list(dict.fromkeys(fused for form in forms for _, fused in form.terms))
    totals: list[Tensor] = []
    for gx in range(convolutions[0].groups[1]):
        for gy, blocks in enumerate(zip(*(fused.column(gx) for fused in convolutions), strict=True)):
            made = dict(zip(convolutions, blocks, strict=True))
            weight = beneath[:, gy : gy + rows, gx : gx + columns]
            sizes = (size(form.block(made, alone=len(forms) == 1)).unflatten(1, (rows, columns)) for form in forms)
            if totals:
                totals = [add_product(total, part, weight) for total, part in zip(totals, sizes, strict=True)]
            else:
                totals = [part * weight for part in sizes]
    return [total.sum(3).flatten(1) for total in totals]


# In place where no gradient needs both values: the blocks are of the size of a cache, and stay in it.


def _abs(t: Tensor) -> Tensor:
    return t.abs() if torch.is_grad_enabled() else t.abs_()


def _square(t: Tensor) -> Tensor:
    return t.square() if torch.is_grad_enabled() else t.square_()
