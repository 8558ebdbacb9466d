"""Batch normalisation in training, as networks of today's certified training have it (Ioffe and Szegedy 2015)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dmcore.nets.layers.affine import Diagonal


class BatchNorm(Diagonal):
    """``weight · (x − mean) / √(var + smallest) + bias`` for each channel, with the statistics last observed.

    A step observes its clean batch; its other passes, of attacks and of bounds, take the statistics from there, and
    gradients flow through them. So between two observations the layer is affine, and every domain takes it as it is.

    Args:
        channels: C.
        image: whether inputs are images (N, C, H, W), or features (N, C).
        smallest: what is added to every variance.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int, image: bool, smallest: float = 1e-5) -> None:
        super().__init__()
        self.image, self.smallest = image, smallest
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels), persistent=False)
        self.register_buffer("var", torch.ones(channels), persistent=False)

    @classmethod
    def of(cls, norm: Any) -> BatchNorm:
        """That which computes what a ``nn.BatchNorm1d`` or ``2d`` does in evaluation mode, with its weights."""
        layer = cls(norm.num_features, isinstance(norm, nn.BatchNorm2d), norm.eps)
        if norm.affine:
            layer.weight, layer.bias = norm.weight, norm.bias
        layer.requires_grad_(norm.affine)
        layer.mean, layer.var = norm.running_mean, norm.running_var
        return layer

    def observe(self, x: Tensor) -> None:
        """Takes the statistics from a batch."""
        self.var, self.mean = torch.var_mean(x, (0, 2, 3) if self.image else 0, correction=0)

    def linear(self, x: Tensor) -> Tensor:
        return x * self._over_positions(self._factor)

    def magnitude(self, r: Tensor) -> Tensor:
        return r * self._over_positions(self._factor.abs())

    def offset(self) -> Tensor:
        return self._over_positions(self.bias - self.mean * self._factor)

    @property
    def _factor(self) -> Tensor:
        return self.weight * (self.var + self.smallest).rsqrt()

    def _over_positions(self, t: Tensor) -> Tensor:
        return t[:, None, None] if self.image else t

    def extra_repr(self) -> str:
        return f"{len(self.weight)}"
