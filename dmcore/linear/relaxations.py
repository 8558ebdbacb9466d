"""Linear bounds of one non-linear layer over its input's box (§2.3, Figure 3; max-pool: Boopathy et al. 2019, §3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from dmcore.errors import UserError
from dmcore.nets.layers import MaxPool, ReLU
from dmcore.perturbation.box import Box

Slope = Literal["relu", "ada", "zero"]
SLOPES: tuple[Slope, ...] = get_args(Slope)

TIE = 1e-4
"""How far below 0, relative to its upper bound, a ReLU's input may begin to be taken for one that begins at 0."""


@dataclass(frozen=True)
class Relaxation:
    """``lower_slope · z + lower_intercept ≤ σ(z) ≤ upper_slope · z + upper_intercept`` for all z in the box.

    The slopes are one tensor where the two bounds are parallel. For a max-pool they have one more axis, the window's.
    """

    lower_slope: Tensor
    upper_slope: Tensor
    lower_intercept: Tensor | None  # None: 0
    upper_intercept: Tensor
    pool: MaxPool | None = None  # whose windows are z, if this is a max-pool's relaxation; its bounds are parallel

    @property
    def parallel(self) -> bool:
        """Whether both bounds share their slope, so that one set of coefficients serves both."""
        return self.lower_slope is self.upper_slope

    @cached_property
    def slope(self) -> Tensor:
        """Half the sum of the two slopes."""
        return self.lower_slope if self.parallel else (self.upper_slope + self.lower_slope) / 2

    @cached_property
    def half_slope(self) -> Tensor:
        """Half of the upper slope less the lower one; may be negative."""
        return (self.upper_slope - self.lower_slope) / 2

    def middle(self, z: Tensor) -> Tensor:
        """Half-way between the two bounds at z, a value of the layer's input."""
        rise = self.slope * z if self.pool is None else (self.slope * self.pool.windows(z, 0.0)).sum(-1)
        low = 0.0 if self.lower_intercept is None else self.lower_intercept
        return rise + (self.upper_intercept + low) / 2

    def gap(self, z: Tensor) -> Tensor:
        """Half the distance of the two bounds at z; may be negative where z is outside the box."""
        low = 0.0 if self.lower_intercept is None else self.lower_intercept
        constant = (self.upper_intercept - low) / 2
        return constant if self.parallel else constant + self.half_slope * z

    def range(self, box: Box) -> Box:
        """What lies between the two bounds over the box they were made for (slopes are ≥ 0)."""
        low = 0.0 if self.lower_intercept is None else self.lower_intercept
        if self.pool is None:
            return Box.between(self.lower_slope * box.lower + low, self.upper_slope * box.upper + self.upper_intercept)
        lower, upper = (self.pool.windows(side, 0.0) for side in (box.lower, box.upper))
        below, above = (self.lower_slope * lower).sum(-1), (self.upper_slope * upper).sum(-1)
        return Box.between(below + low, above + self.upper_intercept)


@singledispatch
def relaxation_of(
    layer: nn.Module, lower: Tensor, upper: Tensor, slope: Slope, slack: Tensor | float = 0.0
) -> Relaxation:
    """The relaxation of a non-linear layer whose input is in [lower, upper]; a layer of a new kind registers its own.

    Args:
        slack: how far each bound may be rounded outward, (B, *shape). A choice that this could turn is made as if it
            were not. Any choice is sound.
    """
    raise UserError(f"linear relaxations have no rule for the layer {type(layer).__name__}")


@relaxation_of.register
def _(layer: ReLU, lower: Tensor, upper: Tensor, slope: Slope, slack: Tensor | float = 0.0) -> Relaxation:
    return relu_relaxation(lower, upper, slope, slack)


def relu_relaxation(lower: Tensor, upper: Tensor, slope: Slope, slack: Tensor | float = 0.0) -> Relaxation:
    """Bounds of ReLU on [lower, upper] (each (B, *shape)).

    Exact where the sign is known. Else the upper bound is the chord u/(u−l)·(z−l), and the lower bound goes through 0
    with slope u/(u−l) (``relu``), 1 if u ≥ −l else 0 (``ada``), or 0 (``zero``; but 1 where l may be 0).
    """
    unstable = (lower < 0) & (upper > 0)
    width = torch.where(unstable, upper - lower, 1.0)  # never 0, whose gradient would be NaN
    chord = torch.where(unstable, upper / width, (lower >= 0).to(upper.dtype))
    intercept = torch.where(unstable, -chord * lower, 0.0)
    if slope == "relu":
        return Relaxation(chord, chord, None, intercept)
    if slope == "ada":
        wide_above = (upper >= -lower).to(chord.dtype)  # outward rounding moves both alike
        return Relaxation(torch.where(unstable, wide_above, chord), chord, None, intercept)
    from_zero = ((lower >= -slack) & (lower >= -TIE * upper)).to(chord.dtype)
    return Relaxation(torch.where(unstable, from_zero, chord), chord, None, intercept)


@relaxation_of.register
def pool_relaxation(
    pool: MaxPool, lower: Tensor, upper: Tensor, slope: Slope, slack: Tensor | float = 0.0
) -> Relaxation:
    """Bounds of the maximum of each window, its inputs in [lower, upper] (each (B, C, H, W)).

    An input with u ≤ l* = max l never exceeds the one that gives l*, and is left out. With γ ∈ [l*, min u] over the
    others and a = (u−γ)/(u−l) ∈ [0, 1], the maximum lies between ``η + Σ a (z−η)`` and ``γ + Σ a (z−l)``, where η is
    below every z if Σ a < 1 and above if Σ a > 1. For ``zero`` the bounds are the constants l* and max u, IBP's own.
    Where one input is at least l* and all others are at most l*, the maximum is that input, exactly. Where u ≤ l* holds
    only up to ``slack``, the upper bound makes up for it.
    """
    low, high = pool.windows(lower, -torch.inf), pool.windows(upper, -torch.inf)
    floor, top = low.amax(-1, keepdim=True), high.amax(-1, keepdim=True)  # l* and max u
    apart = 2 * pool(slack.expand_as(upper))[..., None] if isinstance(slack, Tensor) else slack
    matters = high > floor + apart  # none does if the maximum is the constant l* = max u
    decides = matters & (matters.sum(-1, keepdim=True) == 1) & (low >= floor - apart)
    decided = decides.any(-1)
    exact = decides.to(upper.dtype)
    above = torch.where(decided, low.where(decides, 0.0).sum(-1), floor[..., 0])
    left_out = high.where(~matters, -torch.inf).amax(-1)
    excess = (left_out - above).clamp(min=0)  # over what the upper bound is at least
    if slope == "zero":
        return Relaxation(exact, exact, floor[..., 0].where(~decided, 0.0), top[..., 0].where(~decided, excess), pool)

    low, high = low.where(matters, floor), high.where(matters, floor + 1)  # harmless; their slope will be 0
    inverse = matters / (high - low)
    rate = inverse.sum(-1, keepdim=True)
    gamma = ((high * inverse).sum(-1, keepdim=True) - 1) / rate.where(rate > 0, 1.0)  # 0 / 0 has a gradient of NaN
    gamma = torch.minimum(torch.maximum(gamma, floor), high.where(matters, torch.inf).amin(-1, keepdim=True))
    slopes = ((high - gamma) * inverse).clamp(0, 1).where(~decided[..., None], exact)
    total = slopes.sum(-1)
    eta = low.amin(-1).where(total < 1, top[..., 0])
    upper_intercept = gamma[..., 0] - (slopes * low).sum(-1) + excess
    lower_intercept = (eta * (1 - total)).where(~decided, 0.0)
    return Relaxation(slopes, slopes, lower_intercept, upper_intercept.where(~decided, excess), pool)
