"""Bounds and margins of a network's logits: the public face of the forward domains."""

from __future__ import annotations

from torch import Tensor, nn

from dmcore.device import full_precision
from dmcore.domains import Ball, DoubleMargin, Interval
from dmcore.nets.network import as_network
from dmcore.norms import check_radius


@full_precision()
def interval_bounds(
    net: nn.Module, x: Tensor, eps: float, norm: str = "linf", clip_input: bool = False
) -> tuple[Tensor, Tensor]:
    """Interval bounds (IBP, equation (2)) of the logits over the ε-ball around x.

    Args:
        net: a network of ours, or a plain ``nn.Sequential`` of Conv2d, Linear, ReLU, MaxPool2d, Flatten.
        x: inputs (B, C, H, W), pixels in [0, 1].
        eps: radius ε ≥ 0 in pixel scale; under ``l0`` how many inputs change (a channel of a pixel each).
        norm: the ball's norm: ``linf``, ``l2``, ``l1`` or ``l0``.
        clip_input: cut the ball to [0, 1]; sound and tighter for images, and no change for ``l0``.

    Returns:
        (lower, upper), each (B, K). Bounds of logits, not of margins: the difference of two of them is far looser than
        :func:`dmcore.certify.margin_bounds`.

    Raises:
        UserError: a layer without a rule (named), an unknown norm, ε < 0, a fraction under ``l0``, integer pixels.
    """
    domain, graph, ball = Interval(), as_network(net), Ball(x, eps, norm, clip_input)
    check_radius(norm, eps)
    graph.shapes(x)
    lower, upper = domain.bounds(domain.output(graph, ball))
    return lower, upper


def double_margins(net: nn.Module, x: Tensor, eps: float, norm: str = "linf") -> tuple[Tensor, Tensor, Tensor]:
    """Double margins at the logits (equations (7), (8); other norms: appendix H.1).

    Args as :func:`interval_bounds`, but ``l0`` takes fractions, as a training's ramp has them. The margins are no
    bounds: use them to train, never to certify.

    Returns:
        (z, s, v), each (B, K): clean logits, linear margin s, non-linear margin v.
    """
    domain, graph, ball = DoubleMargin(), as_network(net), Ball(x, eps, norm)
    graph.shapes(x)
    m = domain.output(graph, ball)
    s = m.s.expand_as(m.z)
    return m.z, s, m.z.new_zeros(m.z.shape) if m.v is None else m.v
