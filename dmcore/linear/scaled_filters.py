"""A convolution's filters times a map of slopes, not yet written out for each neuron.

The first two steps back from a convolution are its own filters, the same at all positions, and the slopes of the layer
below, which differ from place to place. When a convolution follows, both steps are one convolution of the map of
slopes with a kernel that the two layers' filters make together (:mod:`dmcore.linear.fused`), and no product of filter
and slopes is ever stored. The backward substitution enters here: :func:`scaled` and :func:`relaxed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from dmcore.linear.coefficients import Coefficients
from dmcore.linear.fused import FusedConvolution
from dmcore.linear.lazy_patches import LazyPatches
from dmcore.linear.patches import Patches, signed_sum
from dmcore.nets.layers import Affine, Conv
from dmcore.nets.network import Shape


def scaled(c: Coefficients, slopes: Tensor) -> Coefficients:
    """``c · diag(slopes)``, slopes (B, *shape); deferred where c are a convolution's own filters."""
    if isinstance(c, Patches) and c.shared:
        return ScaledFilters(((1, Product(c, slopes)),))
    return c.times(slopes)


def relaxed(c: Coefficients, slope: Tensor, half: Tensor, sign: int) -> Coefficients:
    """``c · diag(slope) + sign · |c| · diag(half)``; deferred where c are a convolution's own filters."""
    if isinstance(c, Patches) and c.shared:
        middle, radius = scaled(c, slope), scaled(c.abs(), half)
        return middle + radius if sign > 0 else middle - radius
    return c.relaxed(slope, half, sign)


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
            lazy = self._fused(layer, in_shape) if isinstance(layer, Conv) else None
            self._grown[at] = self.explicit.through(layer, in_shape) if lazy is None else lazy
        return self._grown[at]

    def _fused(self, layer: Conv, in_shape: Shape) -> LazyPatches | None:
        """The product over the layer's input as one convolution; None where that is not possible, or takes longer."""
        grown = self.filters.before(layer, in_shape)
        if grown is None or self.filters.stride != (1, 1) or layer.dilation != (1, 1) or layer.groups != 1:
            return None
        if self.filters.kernel == (1, 1):  # blocks of a single tap are too small to be worth it
            return None
        fused = FusedConvolution(self.filters, self.slopes, layer, in_shape)
        channels, (kh, kw) = layer.weight.shape[1], layer.kernel
        # Phases of a stride hold the kernel and zeros; a transposed convolution always fills 8 channels.
        arithmetic = torch.Size(fused.entries).numel() * fused.taps[0] * fused.taps[1]
        return LazyPatches.of(fused, grown) if arithmetic <= kh * kw * max(channels, 8) else None


@dataclass(frozen=True, eq=False)
class ScaledFilters(Coefficients):
    """A sum of products, each with its sign, written out only when something other than a convolution needs it."""

    terms: tuple[tuple[int, Product], ...]

    @cached_property
    def explicit(self) -> Patches:
        return signed_sum((sign, product.explicit) for sign, product in self.terms)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        return signed_sum((sign, product.through(layer, in_shape)) for sign, product in self.terms)

    def __add__(self, other: Coefficients) -> Coefficients:
        if isinstance(other, ScaledFilters):
            return ScaledFilters(self.terms + other.terms)
        return self.explicit + other

    def __sub__(self, other: Coefficients) -> Coefficients:
        if isinstance(other, ScaledFilters):
            return ScaledFilters(self.terms + tuple((-sign, product) for sign, product in other.terms))
        return self.explicit - other
