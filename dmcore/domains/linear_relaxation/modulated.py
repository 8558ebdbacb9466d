"""A convolution's filters times a map of slopes, not yet written out for each neuron.

The first two steps back from a convolution are its own filters, the same at all positions, and the slopes of the layer
below, which differ from place to place. When a convolution follows, both steps are one convolution of the map of
slopes with a kernel that the two layers' filters make together, and no product of filter and slopes is ever stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.domains.linear_relaxation.budget import check_budget
from dmcore.domains.linear_relaxation.patches import Patches
from dmcore.layers import Affine, Conv
from dmcore.nets.network import Shape

if TYPE_CHECKING:
    from dmcore.domains.linear_relaxation.coefficients import Coefficients


@dataclass(frozen=True, eq=False)
class Product:
    """``filters · diag(slopes)``: shared patches and a map (B, C, H, W). What it becomes is worked out once."""

    filters: Patches
    slopes: Tensor
    _grown: dict[int, Coefficients] = field(default_factory=dict)

    @cached_property
    def explicit(self) -> Patches:
        """The product written out."""
        return self.filters.times(self.slopes)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        """The product over the affine layer's input."""
        if id(layer) not in self._grown:
            joint = isinstance(layer, Conv) and self._worthwhile(layer, in_shape)
            self._grown[id(layer)] = (
                self._joint(layer, in_shape) if joint else self.explicit.through(layer, in_shape)
            )
        return self._grown[id(layer)]

    def _taps(self, layer: Conv) -> tuple[int, int]:
        """How many of the layer's outputs reach one of its inputs, on each axis."""
        (kh, kw), (sh, sw) = layer.kernel, layer.stride
        return -(-kh // sh), -(-kw // sw)

    def _worthwhile(self, layer: Conv, in_shape: Shape) -> bool:
        """Whether one convolution of the slopes takes less arithmetic than a transposed one of each patch."""
        base = self.filters
        grown = base.before(layer, in_shape)
        if grown is None or base.stride != (1, 1) or layer.dilation != (1, 1) or layer.groups != 1:
            return False
        (my, mx), (sh, sw) = self._taps(layer), layer.stride
        gy, gx = base.kernel[0] + my - 1, base.kernel[1] + mx - 1
        rows, columns = base.grid[0] + gy - 1, base.grid[1] + gx - 1
        filters, (channels, (kh, kw)) = base.data.shape[2], (layer.weight.shape[1], layer.kernel)
        joint = rows * columns * filters * channels * gy * sh * gx * sw * base.shape[0] * my * mx
        single = base.positions * filters * base.data.shape[3] * kh * kw * max(channels, 8)
        return joint <= single

    def _joint(self, layer: Conv, in_shape: Shape) -> Patches:
        # An entry u = S·g + r of a grown window gets filters[o, c, g − m] · slopes[c, p + g − m] · weight[c, r + S·m]
        # from each tap m: a convolution of the slopes with one output channel for each (g, r, o, channel of weight).
        base, weight = self.filters, layer.weight
        (my, mx), (sh, sw), (ky, kx) = self._taps(layer), layer.stride, base.kernel
        gy, gx = ky + my - 1, kx + mx - 1
        inner, channels = weight.shape[:2]
        filters = base.data[0, 0].unflatten(1, (inner, ky, kx))
        count = len(filters)
        # by tap, in the order in which a convolution reads them: the last tap first
        shifted = F.pad(filters, (mx - 1, mx - 1, my - 1, my - 1)).unfold(2, my, 1).unfold(3, mx, 1)
        phases = F.pad(weight, (0, mx * sw - weight.shape[3], 0, my * sh - weight.shape[2]))
        phases = phases.reshape(inner, channels, my, sh, mx, sw).flip(2, 4)
        kernel = torch.einsum("ocghyx,cdyrxs->ghodrscyx", shifted, phases)
        out = kernel.shape[:6].numel()
        rows, columns = base.grid[0] + gy - 1, base.grid[1] + gx - 1
        check_budget(len(self.slopes) * out * rows * columns)
        top, left = my - 1 + base.origin[0], mx - 1 + base.origin[1]
        height, width = self.slopes.shape[-2:]
        bottom, right = rows + my - 1 - top - height, columns + mx - 1 - left - width
        image = F.pad(self.slopes, (left, right, top, bottom))
        packed = {"memory_format": torch.channels_last}
        # .reshape: with a single tap the flattened kernel may come out in another memory format than it is asked in
        maps = F.conv2d(image.contiguous(**packed), kernel.reshape(out, inner, my, mx).contiguous(**packed))
        maps = maps.permute(0, 2, 3, 1).contiguous()  # (B, rows, columns, out); as channels come last already, no copy
        batch, row, column, _ = maps.stride()
        phase, block = sh * sw, count * channels * sh * sw
        size = (len(maps), *base.grid, count, channels, gy, sh, gx, sw)
        steps = (batch, row, column, channels * phase, phase, row + gx * block, sw, column + block, 1)
        grown = base.before(layer, in_shape)
        data = maps.as_strided(size, steps).reshape(len(maps), base.positions, count, channels, gy * sh, gx * sw)
        data = data[..., : grown.kernel[0], : grown.kernel[1]].flatten(3)
        return replace(grown, data=data)


@dataclass(frozen=True, eq=False)
class Modulated:
    """A sum of products, written out only when something other than a convolution needs it."""

    terms: tuple[tuple[int, Product], ...]

    @classmethod
    def product(cls, filters: Patches, slopes: Tensor) -> Modulated:
        """``filters · diag(slopes)``."""
        return cls(((1, Product(filters, slopes)),))

    @cached_property
    def explicit(self) -> Patches:
        """The sum written out."""
        return self._sum([(sign, product.explicit) for sign, product in self.terms])

    @staticmethod
    def _sum(terms: list[tuple[int, Coefficients]]) -> Coefficients:
        sign, total = terms[0]
        total = total if sign == 1 else total.times(-1.0)
        for sign, term in terms[1:]:
            total = total + term if sign == 1 else total - term
        return total

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        """A W: the same linear forms over the affine layer's input."""
        return self._sum([(sign, product.through(layer, in_shape)) for sign, product in self.terms])

    def __add__(self, other: Coefficients) -> Coefficients:
        if isinstance(other, Modulated):
            return Modulated(self.terms + other.terms)
        return self.explicit + other

    def __sub__(self, other: Coefficients) -> Coefficients:
        if isinstance(other, Modulated):
            return Modulated(self.terms + tuple((-sign, product) for sign, product in other.terms))
        return self.explicit - other

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.explicit, name)
