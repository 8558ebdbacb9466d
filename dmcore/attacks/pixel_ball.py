"""The points an attack may use, ``{x' ∈ [0, 1]ⁿ : ‖x' − x‖ₚ ≤ ε}``: how to draw, to climb and to come back.

The projections are onto the intersection of the ball and the pixels' range, not onto one after the other: only then do
projected gradients lead to the worst case where pixels are at 0 or 1. Without the cut it is the ball itself, of which
certificates speak that do not clip the input.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from dmcore.perturbation.ball import PIXELS, Range


class PixelBall(ABC):
    """The points of [0, 1] within ε of x, for x in [0, 1].

    Attributes:
        x: (B, *in_shape), the centre.
        eps: radius ε ≥ 0 in pixel scale, a number or a 0-dim tensor.
        low, high: the pixels' range; infinite where the ball is not cut.
    """

    def __init__(self, x: Tensor, eps: float | Tensor, limits: Range = PIXELS) -> None:
        self.x, self.eps = x, eps
        self.low, self.high = limits

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Tensor:
        """A uniform draw from the ball, its pixels then cut to their range."""

    @abstractmethod
    def direction(self, gradient: Tensor, at: Tensor) -> Tensor:
        """The step of norm 1 along which a function with this gradient rises fastest; 0 where the gradient is."""

    @abstractmethod
    def project(self, at: Tensor) -> Tensor:
        """The nearest points (Euclidean) of the set."""

    def _uniform(self, generator: torch.Generator, size: tuple[int, ...]) -> Tensor:
        return torch.rand(size, generator=generator, dtype=self.x.dtype, device=self.x.device)

    def _moved(self, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How far each pixel has moved, how far it may at most (both ≥ 0) and its sign: each (B, n)."""
        moved = (at - self.x).flatten(1)
        allowed = (at.clamp(self.low, self.high) - self.x).flatten(1).abs()
        return moved.abs(), allowed, moved.sign()

    def _point(self, delta: Tensor) -> Tensor:
        """x + δ for δ (B, n); the clamp only takes rounding away."""
        return (self.x + delta.view_as(self.x)).clamp(self.low, self.high)


class LinfBall(PixelBall):
    """‖x' − x‖∞ ≤ ε: a box."""

    def __init__(self, x: Tensor, eps: float | Tensor, limits: Range = PIXELS) -> None:
        super().__init__(x, eps, limits)
        self.lower, self.upper = (x - eps).clamp(min=self.low), (x + eps).clamp(max=self.high)

    def draw(self, generator: torch.Generator) -> Tensor:
        return self.project(self.x + self.eps * (2 * self._uniform(generator, self.x.shape) - 1))

    def direction(self, gradient: Tensor, at: Tensor) -> Tensor:
        return gradient.sign()

    def project(self, at: Tensor) -> Tensor:
        return at.clamp(self.lower, self.upper)


class L2Ball(PixelBall):
    """‖x' − x‖₂ ≤ ε."""

    def draw(self, generator: torch.Generator) -> Tensor:
        normal = torch.randn(self.x.shape, generator=generator, dtype=self.x.dtype, device=self.x.device)
        radius = self._uniform(generator, (len(self.x), 1)) ** (1 / normal[0].numel())
        return self._point(self.eps * radius * _unit(normal))

    def direction(self, gradient: Tensor, at: Tensor) -> Tensor:
        return _unit(gradient).view_as(gradient)

    def project(self, at: Tensor) -> Tensor:
        """δ_i = min(t·moved_i, allowed_i), with the largest t ≤ 1 for which ‖δ‖₂ ≤ ε.

        Pixels reach their limit in the order of allowed/moved. With t at the k-th of these, ‖δ‖² is the sum of the
        squared limits up to k and of t²·moved² after it.
        """
        moved, allowed, sign = self._moved(at)
        tiny, square = torch.finfo(at.dtype).tiny, self.eps * self.eps
        reach, order = (allowed / moved.clamp(min=tiny)).sort(dim=1)
        limited = _from_zero(allowed.square().gather(1, order).cumsum(1))
        free = _from_zero(moved.square().gather(1, order).flip(1).cumsum(1)).flip(1)
        reach = _from_zero(reach)
        k = ((limited + reach.square() * free) <= square).sum(1, keepdim=True).clamp(min=1) - 1
        rest = (square - limited.gather(1, k)).clamp(min=0)
        t = torch.maximum((rest / free.gather(1, k).clamp(min=tiny)).sqrt().clamp(max=1), reach.gather(1, k))
        return self._point(sign * torch.minimum(t * moved, allowed))


class L1Ball(PixelBall):
    """‖x' − x‖₁ ≤ ε."""

    def draw(self, generator: torch.Generator) -> Tensor:
        # Laplace over their sum with one more exponential: uniform in the ball (Barthe et al. 2005).
        signed = 2 * self._uniform(generator, self.x.shape).flatten(1) - 1
        sizes = -torch.log1p(-signed.abs())
        total = sizes.sum(1, keepdim=True) - torch.log1p(-self._uniform(generator, (len(self.x), 1)))
        return self._point(self.eps * signed.sign() * sizes / total)

    def direction(self, gradient: Tensor, at: Tensor) -> Tensor:
        """The whole step in the pixel of the largest slope, among those that can still move that way."""
        room = torch.where(gradient > 0, at < self.high, at > self.low)
        slope = (gradient * room).flatten(1)
        steepest = slope.abs().argmax(1, keepdim=True)
        return torch.zeros_like(slope).scatter(1, steepest, slope.gather(1, steepest).sign()).view_as(gradient)

    def project(self, at: Tensor) -> Tensor:
        """δ_i = min((moved_i − λ)₊, allowed_i), with the smallest λ ≥ 0 for which ‖δ‖₁ ≤ ε.

        ‖δ‖₁ falls with λ, piecewise linearly: a pixel joins at λ = moved − allowed and leaves at λ = moved.
        """
        moved, allowed, sign = self._moved(at)
        bends, order = torch.cat([moved - allowed, moved], 1).sort(dim=1)
        joins = torch.cat([torch.ones_like(moved), -torch.ones_like(moved)], 1).gather(1, order)
        slope = joins.cumsum(1)
        fall = _from_zero((slope[:, :-1] * bends.diff(dim=1)).cumsum(1))
        excess = allowed.sum(1, keepdim=True) - self.eps - fall  # ‖δ‖₁ − ε at each bend
        k = (excess >= 0).sum(1, keepdim=True).clamp(min=1) - 1
        lam = bends.gather(1, k) + excess.gather(1, k) / slope.gather(1, k).clamp(min=1)
        delta = torch.minimum((moved - lam).relu(), allowed)
        total = delta.sum(1, keepdim=True).clamp(min=torch.finfo(at.dtype).tiny)
        return self._point(sign * delta * (self.eps / total).clamp(max=1))  # the last factor: rounding


class L0Ball(PixelBall):
    """At most ε inputs, each a channel of a pixel, differ from x and may be anything (PGD-0, Croce & Hein 2019)."""

    def draw(self, generator: torch.Generator) -> Tensor:
        """As many random inputs as may change, at 0 or 1, as worst cases are."""
        values = self._uniform(generator, self.x.shape).round().flatten(1)
        chosen = self._largest(self._uniform(generator, values.shape))
        return torch.where(chosen, values, self.x.flatten(1)).view_as(self.x)

    def direction(self, gradient: Tensor, at: Tensor) -> Tensor:
        """The gradient, its steepest entry scaled to 1: unlike that of one entry alone, a step that changes several."""
        largest = gradient.flatten(1).abs().amax(1).view(-1, *[1] * (gradient.dim() - 1))
        return gradient / largest.clamp(min=torch.finfo(gradient.dtype).tiny)

    def project(self, at: Tensor) -> Tensor:
        """The changes that bring the point nearest: those of largest moved² − (moved − allowed)²."""
        moved, allowed, _ = self._moved(at)
        chosen = self._largest(allowed * (2 * moved - allowed))
        return torch.where(chosen, at.clamp(self.low, self.high).flatten(1), self.x.flatten(1)).view_as(self.x)

    def _largest(self, values: Tensor) -> Tensor:
        """(B, n) bool: the ε largest values of each point."""
        count = min(int(self.eps), values.shape[1])
        return torch.zeros_like(values, dtype=torch.bool).scatter(1, values.topk(count, dim=1).indices, True)


def _unit(v: Tensor) -> Tensor:
    """v / ‖v‖₂, (B, n); 0 for 0. Scaled first: the squares of a confident net's gradients would vanish."""
    v = v.flatten(1)
    v = v / v.abs().amax(1, keepdim=True).clamp(min=torch.finfo(v.dtype).tiny)
    return v / v.square().sum(1, keepdim=True).sqrt().clamp(min=1)


def _from_zero(sums: Tensor) -> Tensor:
    """Running sums (B, n) with the empty one in front, (B, n + 1)."""
    return torch.nn.functional.pad(sums, (1, 0))


PIXEL_BALLS: dict[str, type[PixelBall]] = {"linf": LinfBall, "l2": L2Ball, "l1": L1Ball}
"""Those of the norms in which a training may attack."""
