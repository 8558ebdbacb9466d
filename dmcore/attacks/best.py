"""The strongest adversarial inputs so far, checked in float64: really in the ball, and really misclassified."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from dmcore.perturbation.ball import Ball, Range

POINTS_AT_ONCE = 500

CLEARLY = 1e-10
"""A margin below 0 by less than this, relative to the largest logit, may be the rounding of float64: no break."""


class BestAdversarial:
    """The strongest adversarial input known for each test point.

    Attributes:
        x, y, eps, norm: the points, x in float64, and their balls.
        limits: what a pixel of the ball may be, (low, high); infinite where the ball is not cut.
        predicted: (B,), the classes of the clean inputs.
        margin: (B,) float64, the smallest margin that was seen.
        broken: (B,) bool, whether that input is misclassified.
        inputs: (B, *in_shape) float64, where it is.
    """

    def __init__(self, net: nn.Module, ball: Ball, y: Tensor) -> None:
        assert not isinstance(ball.eps, Tensor)  # one for all points
        self.net = copy.deepcopy(net).double()
        self.x, self.y, self.eps, self.norm = ball.x.detach().double(), y.long(), ball.eps, ball.norm
        self.limits = ball.input_range if ball.one_sided else (-math.inf, math.inf)
        self.inputs = self.x.clone()
        self.margin = torch.full_like(self.y, torch.inf, dtype=torch.float64)
        self.broken = torch.zeros_like(self.y, dtype=torch.bool)
        everything = torch.arange(len(y), device=y.device)
        self.predicted = self.update(everything, self.x)

    @property
    def unbroken(self) -> Tensor:
        """The indices of the points that no input broke."""
        return (~self.broken).nonzero()[:, 0]

    @torch.no_grad()
    def update(self, points: Tensor, tried: Tensor) -> Tensor:
        """Keeps those of ``tried``, an input for each of ``points``, whose margin is smaller than the smallest so far.

        Rounding is taken off first: an input just outside the ball is moved inside, one that stays outside is refused.

        Returns:
            The classes of the inputs, (len(points),).
        """
        if not len(points):
            return points
        x, y = self.x[points], self.y[points]
        at = into_ball(tried.detach().double(), x, self.eps, self.norm, self.limits)
        logits = torch.cat([self.net(part) for part in at.split(POINTS_AT_ONCE)])
        margin = margins(logits, y)
        worse = (margin < self.margin[points]) & inside(at, x, self.eps, self.norm, self.limits)
        kept = points[worse]
        self.margin[kept], self.inputs[kept] = margin[worse], at[worse]
        self.broken[kept] = (margin < -CLEARLY * logits.abs().amax(1))[worse]
        return logits.argmax(1)


def margins(logits: Tensor, y: Tensor) -> Tensor:
    """min over j ≠ y of z_y − z_j, (B,)."""
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    return logits.gather(1, y[:, None])[:, 0] - others


def inside(at: Tensor, x: Tensor, eps: float, norm: str, limits: Range) -> Tensor:
    """(B,) bool: ``at`` is in the ball in exact arithmetic; both float64. Says no to what rounding leaves in doubt."""
    flat = (at - x).flatten(1)
    low, high = _range(x, limits)
    in_range = ((at >= low) & (at <= high)).flatten(1).all(1)
    if norm == "l0":
        return in_range & ((flat != 0).sum(1) <= eps)
    return in_range & (_length(flat, norm) <= eps * (1 - _rounding(flat)))


def into_ball(at: Tensor, x: Tensor, eps: float, norm: str, limits: Range) -> Tensor:
    """The inputs with their excess over ε taken off, so that :func:`inside` says yes; under ℓ0 pixels' range alone."""
    low, high = _range(x, limits)
    at = at.clamp(low, high)
    if norm == "l0":
        return at
    flat = (at - x).flatten(1)
    room = max(eps - 4 * _rounding(flat) * (1 + eps), 0.0)
    if norm == "linf":
        flat = flat.clamp(-room, room)
    else:
        length = _length(flat, norm)[:, None]
        flat = flat * (room / length.clamp(min=torch.finfo(flat.dtype).tiny)).clamp(max=1)
    return (x + flat.view_as(x)).clamp(low, high)


def _range(x: Tensor, limits: Range) -> tuple[Tensor, Tensor]:
    """What a pixel may be; one that is outside the limits may keep its value."""
    low, high = limits
    return x.clamp(max=low), x.clamp(min=high)


def _length(flat: Tensor, norm: str) -> Tensor:
    return torch.linalg.vector_norm(flat, {"linf": torch.inf, "l2": 2, "l1": 1}[norm], dim=1)


def _rounding(flat: Tensor) -> float:
    """More than the relative error of a length: the differences, n squares, their sum, the root, one unit each."""
    return (flat.shape[1] + 8) * torch.finfo(flat.dtype).eps
