"""How far linear forms ``A x`` move over a ball of any norm (§2.3; other norms: appendix H.1).

The one place that knows the norms. Linear relaxations end here at the input, and the forward domains begin here with
their first affine layer.
"""

from __future__ import annotations

import math
from itertools import repeat
from typing import TypeGuard

import torch
from torch import Tensor

from dmcore.linear.chunks import RANKED
from dmcore.linear.coefficients import Coefficients
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box

Region = Ball | Box
"""What linear forms are bounded over: the input's ball, or a box of values of another node."""


def coupled(region: Region) -> TypeGuard[Ball]:
    """Whether how far one value moves limits the others; not so in a box, which the ball of ℓ∞ is."""
    return isinstance(region, Ball) and region.norm != "linf"


def pivot(region: Region) -> Tensor:
    """The point from which :func:`concretize` counts, (B, *shape): x, or the middle of a box."""
    return region.x if coupled(region) else region.center


def symmetric(region: Region) -> bool:
    """Whether all forms rise as far as they fall."""
    return not coupled(region) or (region.norm != "l0" and not region.clip_input)


def concretize(forms: Coefficients, region: Region, upward: bool) -> Tensor:
    """How far linear forms can rise (or fall) from their value at the :func:`pivot`: (B or 1, R), ≥ 0.

    Exact: ``|A| r`` over a box, which the ball of ℓ∞ is; ``ε‖A‖₂`` for ℓ2; ``ε max|A|`` for ℓ1; for ℓ0 the sum of the ε
    largest gains of one input. For a ball of ℓ2 or ℓ1 cut to [0, 1] a bound: the smaller of this and the cut box's
    own.
    """
    if not coupled(region):
        return forms.abs_dot(region.radius)
    fall, rise = region.max_decrease, region.max_increase
    if not upward:
        fall, rise = rise, fall
    if region.norm == "l0":
        return _largest_gains(forms, fall, rise, region)
    ones = torch.ones_like(region.x[:1]) if len(region.x) else region.x
    dual = _root(forms.square_dot(ones)) if region.norm == "l2" else forms.norm(torch.inf)
    moved = region.eps_like(dual) * dual
    if not region.clip_input:
        return moved
    positive, negative = forms.map(lambda a: a.clamp(min=0)), forms.map(lambda a: a.clamp(max=0))
    return torch.minimum(moved, positive.abs_dot(rise) + negative.abs_dot(fall))


def _root(t: Tensor) -> Tensor:
    """√t, whose gradient at 0 is 0, as that of the norm of a row of zeros should be."""
    positive = t > 0
    return torch.where(positive, t, 1.0).sqrt() * positive


def _largest_gains(forms: Coefficients, fall: Tensor, rise: Tensor, ball: Ball) -> Tensor:
    """The sum of each form's ε largest gains ``max(A_l · rise_l, −A_l · fall_l)``, a few samples at a time: (B, R)."""
    a, up = forms.broadcast(rise)
    _, down = forms.broadcast(fall)
    sample = torch.broadcast_shapes(a.shape[1:], up.shape[1:]).numel()
    at_once = max(1, RANKED[a.device.type] // max(1, sample))
    own = a.split(at_once) if len(a) > 1 else repeat(a)
    eps = ball.eps_like(up)
    radii = eps.split(at_once) if isinstance(eps, Tensor) and eps.ndim else repeat(eps)
    # A training's ε, whose value nobody may ask for here, has all gains ranked.
    unknown = isinstance(eps, Tensor) and eps.ndim == 0
    k = a.shape[-1] if unknown else min(math.ceil(ball.largest_eps), a.shape[-1])
    of_parts = zip(own, up.split(at_once), down.split(at_once), radii, strict=False)
    parts = [_sum_of_largest(*part, k) for part in of_parts]
    return torch.cat(parts).flatten(1)


def _sum_of_largest(a: Tensor, up: Tensor, down: Tensor, eps: float | Tensor, k: int) -> Tensor:
    """The sum over the last axis of the ε ≤ k largest gains, for tensors that broadcast.

    Which gains are largest is found without gradients; what is differentiated are these few alone.
    """
    count = a.shape[-1]
    with torch.no_grad():
        top = torch.maximum(a * up, -a * down).topk(k)
    gains = top.values
    if torch.is_grad_enabled() and (a.requires_grad or up.requires_grad):
        form = torch.arange(a[..., 0].numel(), device=a.device).reshape(*a.shape[:-1], 1)
        coefficient = a.reshape(-1)[form * count + top.indices]
        wide = (*top.indices.shape[:-1], count)
        up, down = (t.expand(wide).gather(-1, top.indices) for t in (up, down))
        gains = torch.maximum(coefficient * up, -coefficient * down)
    rank = torch.arange(k, dtype=a.dtype, device=a.device)
    return (gains * (eps - rank).clamp(0, 1)).sum(-1)
