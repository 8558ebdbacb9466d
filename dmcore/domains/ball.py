"""The set of inputs a bound must hold for: everything within ε of x (§2.3, threat model)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dmcore.errors import UserError, nearest

NORMS = ("linf",)


@dataclass(frozen=True)
class Ball:
    """``{x + δ : ‖δ‖∞ ≤ ε}``, in pixel scale, cut to the pixels' range [0, 1] where ``clip_input``.

    Attributes:
        x: (B, *in_shape), the centre before any cut.
        eps: radius ε ≥ 0.
    """

    x: Tensor
    eps: float
    norm: str = "linf"
    clip_input: bool = False

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise UserError(f"unknown norm '{self.norm}': {nearest(self.norm, NORMS)}")
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise UserError(f"eps must be a finite number ≥ 0 (pixel scale), got {self.eps}")
        if self.x.dtype not in (torch.float32, torch.float64):
            raise UserError(f"x must be float32 or float64 pixels in [0, 1], got {self.x.dtype}")

    @cached_property
    def center(self) -> Tensor:
        """Midpoint of the ball's bounding box, (B, *in_shape)."""
        if not self.clip_input:
            return self.x
        lower, upper = self._clipped()
        return (lower + upper) / 2

    @cached_property
    def radius(self) -> Tensor:
        """Half-widths of the bounding box; (1, *in_shape) without a cut, as they do not depend on the sample."""
        if not self.clip_input:
            return torch.full_like(self.x[:1], self.eps) if len(self.x) else self.x.detach()
        lower, upper = self._clipped()
        return (upper - lower) / 2

    def _clipped(self) -> tuple[Tensor, Tensor]:
        # A centre outside [0, 1] would leave an empty box; the cut must keep the centre itself.
        lower = torch.minimum((self.x - self.eps).clamp(min=0), self.x)
        upper = torch.maximum((self.x + self.eps).clamp(max=1), self.x)
        return lower, upper
