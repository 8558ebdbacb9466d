"""A convolution's filters times a map of slopes, not yet written out for each neuron.

The first two steps back from a convolution are its own filters, the same at all positions, and the slopes of the layer
below, which differ from place to place. When a convolution follows, both steps are one convolution of the map of
slopes with a kernel that the two layers' filters make together, and no product of filter and slopes is ever stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor

from dmcore.domains.linear_relaxation.joint import Joint
from dmcore.domains.linear_relaxation.maps import Maps
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
    _grown: dict[tuple[int, Shape], Coefficients] = field(default_factory=dict)

    @cached_property
    def explicit(self) -> Patches:
        """The product written out."""
        return self.filters.times(self.slopes)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        """The product over the affine layer's input."""
        at = id(layer), in_shape
        if at not in self._grown:
            joint = isinstance(layer, Conv) and self._worthwhile(layer, in_shape)
            self._grown[at] = self._joint(layer, in_shape) if joint else self.explicit.through(layer, in_shape)
        return self._grown[at]

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
        rows, columns = base.grid[0], base.grid[1] + gx - 1
        filters, (channels, (kh, kw)) = base.data.shape[2], (layer.weight.shape[1], layer.kernel)
        joint = rows * columns * filters * channels * gy * sh * gx * sw * base.shape[0] * my * mx
        single = base.positions * filters * base.data.shape[3] * kh * kw * max(channels, 8)
        return joint <= single

    def _joint(self, layer: Conv, in_shape: Shape) -> Maps:
        base, weight = self.filters, layer.weight
        (my, mx), (sh, sw) = self._taps(layer), layer.stride
        inner, channels = weight.shape[:2]
        filters = base.data[0, 0].unflatten(1, (inner, *base.kernel))
        phases = F.pad(weight, (0, mx * sw - weight.shape[3], 0, my * sh - weight.shape[2]))
        phases = phases.reshape(inner, channels, my, sh, mx, sw)
        return Maps.of(Joint(self.slopes, filters, phases, base), base.before(layer, in_shape))


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
