"""A convolution's filters times a map of slopes, not yet written out for each neuron.

The first two steps back from a convolution are its own filters, the same at all positions, and the slopes of the layer
below, which differ from place to place. When a convolution follows, both steps are one convolution of the map of
slopes with a kernel that the two layers' filters make together, and no product of filter and slopes is ever stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dmcore.linear.fused import Joint
from dmcore.linear.maps import Maps
from dmcore.linear.patches import Patches, signed_sum
from dmcore.nets.layers import Affine, Conv
from dmcore.nets.network import Shape

if TYPE_CHECKING:
    from dmcore.linear.coefficients import Coefficients


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
            joint = self.joint(layer, in_shape) if isinstance(layer, Conv) else None
            self._grown[at] = self.explicit.through(layer, in_shape) if joint is None else joint
        return self._grown[at]

    def joint(self, layer: Conv, in_shape: Shape) -> Maps | None:
        """The product over the layer's input as one convolution; None where that is not possible, or takes longer."""
        grown = self.filters.before(layer, in_shape)
        if grown is None or self.filters.stride != (1, 1) or layer.dilation != (1, 1) or layer.groups != 1:
            return None
        if self.filters.kernel == (1, 1):  # blocks of a single tap are too small to be worth it
            return None
        found = Joint(self.filters, self.slopes, layer, in_shape)
        channels, (kh, kw) = layer.weight.shape[1], layer.kernel
        # Phases of a stride hold the kernel and zeros; a transposed convolution always fills 8 channels.
        arithmetic = torch.Size(found.entries).numel() * found.taps[0] * found.taps[1]
        return Maps.of(found, grown) if arithmetic <= kh * kw * max(channels, 8) else None


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
        return signed_sum((sign, product.explicit) for sign, product in self.terms)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        """A W: the same linear forms over the affine layer's input."""
        return signed_sum((sign, product.through(layer, in_shape)) for sign, product in self.terms)

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
