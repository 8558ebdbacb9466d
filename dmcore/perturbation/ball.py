"""The set of inputs a bound must hold for: everything within ε of x (§2.3, threat model)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real

import torch
from torch import Tensor

from dmcore.errors import UserError
from dmcore.norms import check_norm

Range = tuple[float, float]
PIXELS: Range = (0.0, 1.0)


@dataclass(frozen=True)
class Ball:
    """``{x + δ : ‖δ‖ ≤ ε}``, in pixel scale, cut to the inputs' range where ``clip_input``.

    Under ℓ0 at most ε inputs (each one channel of one pixel) take any value of their range, or keep their own; a cut
    changes nothing there. A fraction, which only a training's ramp passes through, stands between the whole numbers
    beside it.

    Attributes:
        x: (B, *in_shape), the centre before any cut.
        eps: radius ε ≥ 0; or one for each sample, (B,); in training it may be a tensor without axes, or under ℓ∞ of
            x's shape, which is not checked.
        input_range: what an input may be, (low, high).
    """

    x: Tensor
    eps: float | Tensor
    norm: str = "linf"
    clip_input: bool = False
    input_range: Range = (0.0, 1.0)

    def __post_init__(self) -> None:
        check_norm(self.norm)
        if isinstance(self.eps, Tensor):
            number = self.eps.shape in ((), self.x.shape[:1], self.x.shape if self.norm == "linf" else ())
        else:
            number = isinstance(self.eps, Real) and math.isfinite(self.eps) and self.eps >= 0
        if not number:
            raise UserError(f"eps must be a finite number ≥ 0 (pixel scale), got {self.eps}")
        if self.x.dtype not in (torch.float32, torch.float64):
            raise UserError(f"x must be float32 or float64 pixels in [0, 1], got {self.x.dtype}")

    def select(self, of: Callable[[Tensor], Tensor]) -> Ball:
        """The balls around ``of(x)``, which picks or repeats samples."""
        eps = of(self.eps) if isinstance(self.eps, Tensor) and self.eps.ndim else self.eps
        return replace(self, x=of(self.x), eps=eps)

    def eps_like(self, t: Tensor) -> float | Tensor:
        """ε, to be multiplied with (B, …) values such as t."""
        if not isinstance(self.eps, Tensor) or self.eps.ndim == 0:
            return self.eps
        return self.eps.to(t.dtype).view(*self.eps.shape, *[1] * (t.ndim - self.eps.ndim))

    @property
    def largest_eps(self) -> float:
        """The largest ε of all samples."""
        if isinstance(self.eps, Tensor):
            return float(self.eps.max()) if self.eps.numel() else 0.0
        return float(self.eps)

    @cached_property
    def center(self) -> Tensor:
        """Midpoint of the ball's bounding box, (B, *in_shape)."""
        if not self.one_sided:
            return self.x
        lower, upper = self._box
        return (lower + upper) / 2

    @cached_property
    def radius(self) -> Tensor:
        """Half-widths of the bounding box; (1, *in_shape) without a cut and with one ε for all samples."""
        if not self.one_sided:
            shared = not isinstance(self.eps, Tensor) or self.eps.ndim == 0
            like = self.x[:1] if shared else self.x
            return torch.ones_like(like) * self.eps_like(like) if len(self.x) else self.x.detach()
        lower, upper = self._box
        return (upper - lower) / 2

    @cached_property
    def max_decrease(self) -> Tensor:
        """How far each input alone can fall, of x's shape; under ℓ0 if it is one of the changed ones."""
        return self.x - (self.x.clamp(max=self.input_range[0]) if self.norm == "l0" else self._box[0])

    @cached_property
    def max_increase(self) -> Tensor:
        """How far each input alone can rise, of x's shape; under ℓ0 if it is one of the changed ones."""
        return (self.x.clamp(min=self.input_range[1]) if self.norm == "l0" else self._box[1]) - self.x

    @property
    def one_sided(self) -> bool:
        """Whether an input may move further to one side than to the other."""
        return self.clip_input or self.norm == "l0"

    @cached_property
    def _box(self) -> tuple[Tensor, Tensor]:
        """(lower, upper) corners of the bounding box, where it is cut or of ℓ0."""
        eps = self.eps_like(self.x)
        if self.norm == "l0":
            share = eps.clamp(max=1) if isinstance(eps, Tensor) else min(eps, 1)
            return self.x - share * self.max_decrease, self.x + share * self.max_increase
        # A centre outside its range would leave an empty box; the cut must keep the centre itself.
        low, high = self.input_range
        lower = torch.minimum((self.x - eps).clamp(min=low), self.x)
        upper = torch.maximum((self.x + eps).clamp(max=high), self.x)
        return lower, upper
