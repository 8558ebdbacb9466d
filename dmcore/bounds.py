"""Bounds and margins of a network's logits: the public face of the forward domains."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dmcore.domains import DoubleMargin, Interval
from dmcore.domains.rounding import rounded_bounds
from dmcore.nets.reading import as_network
from dmcore.perturbation.ball import PIXELS, Range
from dmcore.perturbation.inputs import Radius, checked_ball
from dmcore.precision import full_precision


@full_precision()
def interval_bounds(
    net: nn.Module,
    x: Tensor,
    eps: Radius,
    norm: str = "linf",
    clip_input: bool = False,
    input_range: Range = PIXELS,
) -> tuple[Tensor, Tensor]:
    """Interval bounds (IBP, equation (2)) of the logits over the ε-ball around x.

    They hold for the network computed in real numbers, whatever the caller has set: they are computed in float64 and
    rounded outward. Their gradients are those of the bounds in x's dtype, as they are.

    Args:
        net, x, eps, norm, clip_input, input_range: as :func:`dmcore.certify.margin_bounds`.

    Returns:
        (lower, upper), each (B, K). Bounds of logits, not of margins: the difference of two of them is far looser than
        :func:`dmcore.certify.margin_bounds`.

    Raises:
        UserError: as ``margin_bounds``.
    """
    ball = checked_ball(x, eps, norm, clip_input, input_range)
    graph = as_network(net, tuple(ball.x.shape[1:]))
    graph.shapes(ball.x)
    sides = rounded_bounds(copy.deepcopy(graph).double(), ball, [graph.output])[graph.output]
    if not torch.is_grad_enabled() or not any(t.requires_grad for t in (ball.x, *graph.parameters())):
        return sides
    domain = Interval()
    plain = domain.bounds(domain.output(graph, ball))
    # Where a plain bound overflows, inf − inf must not reach the bound that is returned.
    lower, upper = (value + (side - side.detach()).nan_to_num(0.0) for value, side in zip(sides, plain, strict=True))
    return lower, upper


def double_margins(
    net: nn.Module, x: Tensor, eps: Radius, norm: str = "linf", input_range: Range = PIXELS
) -> tuple[Tensor, Tensor, Tensor]:
    """Double margins at the logits (equations (7), (8); other norms: appendix H.1).

    Args as :func:`interval_bounds`, but ``l0`` takes fractions, as a training's ramp has them. The margins are no
    bounds: use them to train, never to certify.

    Returns:
        (z, s, v), each (B, K): clean logits, linear margin s, non-linear margin v.
    """
    ball = checked_ball(x, eps, norm, input_range=input_range, fractions=True)
    domain, graph = DoubleMargin(), as_network(net, tuple(ball.x.shape[1:]))
    graph.shapes(ball.x)
    m = domain.output(graph, ball)
    s = m.s.expand_as(m.z)
    return m.z, s, m.z.new_zeros(m.z.shape) if m.v is None else m.v
