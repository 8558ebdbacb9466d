"""The set of inputs a bound must hold for: everything within ε of x (§2.3, threat model)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import torch
from torch import Tensor

from dmcore.errors import UserError
from dmcore.norms import check_norm


@dataclass(frozen=True)
class Ball:
    """``{x + δ : ‖δ‖ ≤ ε}``, in pixel scale, cut to the pixels' range [0, 1] where ``clip_input``.

    Under ℓ0 at most ε inputs (each one channel of one pixel) take any value in [0, 1], or keep their own; a cut changes
    nothing there. A fraction, which only a training's ramp passes through, stands between the whole numbers beside it.

    Attributes:
        x: (B, *in_shape), the centre before any cut.
        eps: radius ε ≥ 0; in training it may be a tensor without axes, which is not checked.
    """

    x: Tensor
    eps: float | Tensor
    norm: str = "linf"
    clip_input: bool = False

    def __post_init__(self) -> None:
        check_norm(self.norm)
        number = isinstance(self.eps, Tensor) or (
            isinstance(self.eps, Real) and math.isfinite(self.eps) and self.eps >= 0
        )
        if not number:
            raise UserError(f"eps must be a finite number ≥ 0 (pixel scale), got {self.eps}")
        if self.x.dtype not in (torch.float32, torch.float64):
            raise UserError(f"x must be float32 or float64 pixels in [0, 1], got {self.x.dtype}")

    @cached_property
    def center(self) -> Tensor:
        """Midpoint of the ball's bounding box, (B, *in_shape)."""
        if not self.one_sided:
            return self.x
        lower, upper = self._box
        return (lower + upper) / 2

    @cached_property
    def radius(self) -> Tensor:
        """Half-widths of the bounding box; (1, *in_shape) without a cut, as they do not depend on the sample."""
        if not self.one_sided:
            return torch.ones_like(self.x[:1]) * self.eps if len(self.x) else self.x.detach()
        lower, upper = self._box
        return (upper - lower) / 2

    @cached_property
    def room(self) -> tuple[Tensor, Tensor]:
        """How far each input alone can (fall, rise), each of x's shape; under ℓ0 if it is one of the changed ones."""
        lower, upper = (self.x.clamp(max=0), self.x.clamp(min=1)) if self.norm == "l0" else self._box
        return self.x - lower, upper - self.x

    @property
    def one_sided(self) -> bool:
        """Whether an input may have more room on one side than on the other."""
        return self.clip_input or self.norm == "l0"

    @cached_property
    def _box(self) -> tuple[Tensor, Tensor]:
        """(lower, upper) corners of the bounding box, where it is cut or of ℓ0."""
        if self.norm == "l0":
            share = self.eps.clamp(max=1) if isinstance(self.eps, Tensor) else min(self.eps, 1)
            fall, rise = self.room
            return self.x - share * fall, self.x + share * rise
        # A centre outside [0, 1] would leave an empty box; the cut must keep the centre itself.
        lower = torch.minimum((self.x - self.eps).clamp(min=0), self.x)
        upper = torch.maximum((self.x + self.eps).clamp(max=1), self.x)
        return lower, upper
