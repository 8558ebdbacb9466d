"""Certification: lower bounds of the margins, and the verdict on each point (§2.3)."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmcore.certifiers import Certifier
from dmcore.device import full_precision
from dmcore.domains import Ball, Magnitude
from dmcore.domains.linear_relaxation.margins import margin_rows
from dmcore.domains.linear_relaxation.points import over_points, points_at_once
from dmcore.errors import UserError
from dmcore.nets.network import Network, as_network
from dmcore.norms import check_radius
from dmcore.registries import certifier as registry

# A margin within this share of the size of the numbers it is added up from is bounded again in float64: it may have
# been lost to the room that bounds make for rounding errors (docs/soundness.md).
CLOSE = 1e-5


@torch.no_grad()
@full_precision()
def margin_bounds(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: str = "linf",
    certifier: str = "cnn-cert-relu",
    clip_input: bool = False,
    intersect_ibp: bool = False,
) -> Tensor:
    """Lower bounds of the margins z_y − z_j over the ε-ball around x.

    A point is robust at ε if all its margins are > 0. The bounds hold for the network computed in real numbers: room
    for the rounding errors of x's dtype is taken off (docs/soundness.md). Memory is bounded: points are taken a few at
    a time, fewer where a network needs more room.

    Args:
        net: a network of ours, or a plain ``nn.Sequential`` of Conv2d, Linear, ReLU, MaxPool2d, Flatten.
        x: inputs (B, C, H, W), pixels in [0, 1]; computed in x's dtype and on x's device.
        y: labels (B,), integers in 0..K−1.
        eps: radius ε ≥ 0 in pixel scale; under ``l0`` how many inputs change (a channel of a pixel each).
        norm: the ball's norm: ``linf``, ``l2``, ``l1`` or ``l0``.
        certifier: ``cnn-cert-relu``, ``cnn-cert-ada``, ``cnn-cert-zero``, ``alpha`` or ``ibp``.
        clip_input: cut the ball to [0, 1]; sound and tighter for images, no change for ``l0``. The paper does not.
        intersect_ibp: let no bound of a linear relaxation leave the interval bounds (docs/certifiers.md); sound, and
            nearly always tighter. The paper does not. No change for ``ibp``.

    Returns:
        (B, K), +inf at j = y.

    Raises:
        UserError: an unknown certifier or norm, ε < 0 or a fraction under ``l0``, a layer that cannot be bounded,
            labels out of range.
    """
    bound, graph = registry.get(certifier)(intersect_ibp), as_network(net).frozen()
    Ball(x[:0], eps, norm, clip_input)  # refuses a bad ε or norm before any work
    check_radius(norm, eps)
    shapes = graph.shapes(x)
    if len(shapes[graph.output]) != 1:
        raise UserError(f"the network's output has shape {shapes[graph.output]}, not (classes,)")
    (num_classes,) = shapes[graph.output]
    whole = y.shape == x.shape[:1] and y.dtype in (torch.int64, torch.int32, torch.uint8)
    if not whole or (len(y) and not 0 <= int(y.min()) <= int(y.max()) < num_classes):
        got = f"got {tuple(y.shape)} {y.dtype}"
        raise UserError(f"labels must be {len(x)} integers in 0..{num_classes - 1}, {got}")
    y = y.long()

    def margins(points: slice) -> Tensor:
        return _margins(graph, Ball(x[points], eps, norm, clip_input), y[points], num_classes, bound)

    return torch.cat([x.new_empty(0, num_classes), *over_points(len(x), points_at_once(graph, x), margins)])


def _margins(net: Network, ball: Ball, y: Tensor, num_classes: int, certifier: Certifier) -> Tensor:
    margins = certifier.lower(net, ball, margin_rows(y, num_classes, ball.x))
    return margins.scatter(1, y[:, None], torch.inf)


@dataclass(frozen=True)
class Verdicts:
    """What a certifier says of each point at one ε; all of shape (B,).

    Attributes:
        predicted: the class of the clean input.
        margin: the smallest lower bound of a margin; NaN where a bound overflowed.
        certified: classified right, and every margin > 0 on the whole ball.
        rechecked: decided in float64, as float32 came close to 0.
    """

    predicted: Tensor
    margin: Tensor
    certified: Tensor
    rechecked: Tensor


@torch.no_grad()
def certify_points(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: str = "linf",
    certifier: str = "cnn-cert-relu",
    clip_input: bool = False,
    intersect_ibp: bool = False,
) -> Verdicts:
    """The verdict on each point. Arguments and errors as :func:`margin_bounds`.

    The bounds make room for all rounding errors, so a margin > 0 is a certificate. Where that room may have cost it,
    close to 0, the point is bounded again in float64. At ε = 0 the margins are those of the point itself. Points that a
    faster certifier certifies, one whose bounds are never above this one's, keep the margin that it found.
    """
    net = as_network(net)
    first, *others = *registry.get(certifier).NEVER_BELOW, certifier
    margin = margin_bounds(net, x, y, eps, norm, first, clip_input, intersect_ibp).amin(1)
    sizes = [_size(net, Ball(part, eps, norm, clip_input)) for part in x.split(1000)]
    needed = CLOSE * torch.cat(sizes) if len(x) else margin
    for name in others:
        left = ~(margin > needed)
        margin[left] = margin_bounds(net, x[left], y[left], eps, norm, name, clip_input, intersect_ibp).amin(1)
    certified = margin > needed
    close = ~((margin.abs() > needed) & margin.isfinite())  # NaN is close, too
    if close.any():
        double = copy.deepcopy(net).double()
        margin64 = margin_bounds(
            double, x[close].double(), y[close], eps, norm, certifier, clip_input, intersect_ibp
        ).amin(1)
        margin[close] = margin64.to(margin.dtype)
        certified[close] = margin64 > 0
    predicted = torch.cat([net(part).argmax(1) for part in x.split(1000)]) if len(x) else y
    return Verdicts(predicted, margin, certified & (predicted == y), close)


def _size(net: Network, ball: Ball) -> Tensor:
    """For each point (B,), a bound on all numbers that a margin is added up from."""
    return 2 * Magnitude().output(net, ball).amax(1)
