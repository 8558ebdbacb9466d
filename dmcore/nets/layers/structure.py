"""Layers that only rearrange or add: flatten, residual sum, ensemble average."""

from __future__ import annotations

from torch import Tensor, nn

from dmcore.errors import UserError


class Flatten(nn.Module):
    """(N, C, H, W) to (N, C·H·W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class Sum(nn.Module):
    """``scale · Σ parents``: the residual sum (scale 1) and the average of N ensemble members (scale 1/N)."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        if not scale > 0:  # the domains scale radii by it
            raise UserError(f"the scale of a sum must be > 0, got {scale}")
        self.scale = scale

    def forward(self, *branches: Tensor) -> Tensor:
        total = branches[0]
        for branch in branches[1:]:
            total = total + branch
        return total if self.scale == 1.0 else total * self.scale

    def extra_repr(self) -> str:
        return f"scale={self.scale}"
