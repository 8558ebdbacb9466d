"""Certification: lower bounds of the margins, and the verdict on each point (§2.3)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from operator import itemgetter

import torch
from torch import Tensor, nn

from dmcore.attacks.best import BestAdversarial
from dmcore.attacks.descent import descend
from dmcore.certifiers import Certifier
from dmcore.crown.margins import by_class, margin_rows
from dmcore.domains import Magnitude
from dmcore.domains.rounding import underflow
from dmcore.linear.chunks import map_chunks, point_chunk
from dmcore.linear.rounding import outward
from dmcore.nets.network import Network
from dmcore.nets.reading import as_network
from dmcore.perturbation import Ball
from dmcore.perturbation.ball import PIXELS, Range
from dmcore.perturbation.inputs import Radius, checked_ball, checked_labels
from dmcore.precision import certificate_dtype, full_precision
from dmcore.registries import certifier as registry
from dmcore.results import PointResults, share

# A margin within this share of the size of the numbers it is added up from is bounded again in float64: it may have
# been lost as bounds are rounded outward (docs/soundness.md).
CLOSE = 1e-5


@torch.no_grad()
@full_precision()
def margin_bounds(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: Radius,
    norm: str = "linf",
    certifier: str | Certifier = "cnn-cert-relu",
    clip_input: bool = False,
    intersect_ibp: bool = False,
    input_range: Range = PIXELS,
) -> Tensor:
    """Lower bounds of the margins z_y − z_j over the ε-ball around x.

    A point is robust at ε if all its margins are > 0. The bounds hold for the network computed in real numbers,
    whatever the caller has set: they are rounded outward, to x's dtype (docs/soundness.md). Memory is bounded:
    points are taken a few at a time, fewer where a network needs more memory.

    Args:
        net: a network of ours, or any module that :func:`dmcore.nets.as_network` reads; in evaluation mode.
        x: inputs (B, C, H, W), pixels in [0, 1]; computed on x's device, in x's dtype, on a GPU in float64.
        y: labels (B,), integers in 0..K−1.
        eps: radius ε ≥ 0 in pixel scale, a number or text such as ``8/255``; or one for each point, (B,). Under ``l0``
            how many inputs change (a channel of a pixel each).
        norm: the ball's norm: ``linf``, ``l2``, ``l1`` or ``l0``.
        certifier: ``cnn-cert-relu``, ``cnn-cert-ada``, ``cnn-cert-zero``, ``alpha``, ``ibp`` or ``milp``; or one made
            with options of its own.
        clip_input: cut the ball to ``input_range``; sound and tighter for images, no change for ``l0``. The paper does
            not.
        intersect_ibp: let no bound of a linear relaxation leave the interval bounds (docs/certifiers.md); sound, and
            nearly always tighter. The paper does not. No change for ``ibp``.
        input_range: (low, high), what an input may be: x outside it is refused. Not [0, 1] for inputs that are no
            pixels, such as (−1, 1); (−inf, inf) for any real numbers.

    Returns:
        (B, K), +inf at j = y.

    Raises:
        UserError: an unknown certifier or norm, ε < 0 or a fraction under ``l0``, a layer that cannot be bounded,
            inputs out of their range, labels out of theirs.
    """
    bound = _made(certifier, intersect_ibp)
    graph, ball, labels = checked_points(net, x, y, eps, norm, clip_input, input_range)
    return outward(_margins(graph, ball, labels, bound, certificate_dtype(ball.x)), ball.x.dtype, -1)


def checked_points(
    net: nn.Module, x: Tensor, y: Tensor, eps: Radius, norm: str, clip_input: bool, input_range: Range
) -> tuple[Network, Ball, Tensor]:
    """The network as a graph, the balls and the labels (B,), if they are what :func:`margin_bounds` takes."""
    ball = checked_ball(x, eps, norm, clip_input, input_range)
    graph = as_network(net, tuple(ball.x.shape[1:]))
    return graph, ball, checked_labels(y, ball.x, graph.shapes(ball.x)[graph.output])


def _margins(net: Network, balls: Ball, labels: Tensor, certifier: Certifier, dtype: torch.dtype) -> Tensor:
    """Lower bounds of the margins (B, K), computed and given in that dtype, a few points at a time."""
    given = balls.x.dtype  # a weight may vanish on its way from it to the other one
    graph = copy.deepcopy(net).to(dtype).requires_grad_(False)  # alpha follows gradients, but not into the weights
    balls = replace(balls, x=balls.x.to(dtype))
    (num_classes,) = graph.shapes(balls.x)[graph.output]

    def margins(points: slice) -> Tensor:
        ball, y = balls.select(itemgetter(points)), labels[points]
        lower = certifier.lower(graph, ball, margin_rows(y, num_classes, ball.x))
        return by_class(lower, y, torch.inf)

    found = map_chunks(len(labels), point_chunk(graph, balls.x), margins)
    lost = underflow(graph, balls, [graph.output], rows=2.0, dtype=given)
    return torch.cat([balls.x.new_empty(0, num_classes), *found]) - lost


def _made(certifier: str | Certifier, intersect_ibp: bool) -> Certifier:
    return certifier if isinstance(certifier, Certifier) else registry.get(certifier)(intersect_ibp)


@dataclass(frozen=True, repr=False)
class CertificationResult(PointResults):
    """What a certifier says of each point at one ε; all of shape (B,).

    Attributes:
        predicted: the class of the clean input.
        margin: the smallest lower bound of a margin; NaN where a bound overflowed.
        certified: classified right, and every margin > 0 on the whole ball.
        rechecked: decided in float64, as float32 came close to 0; none where all is computed in float64.
        stage: by whose bounds: 0, 1, … for the faster certifiers that are tried first, in their order, and the last for
            the certifier itself.
    """

    predicted: Tensor
    margin: Tensor
    certified: Tensor
    rechecked: Tensor
    stage: Tensor

    @property
    def certified_accuracy(self) -> float:
        """The share of points that are certified: a lower bound of the robust accuracy."""
        return share(self.certified)

    def _summary(self) -> str:
        return f"{self.certified_accuracy:.1%} certified"


@torch.no_grad()
@full_precision()
def certify_points(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: Radius,
    norm: str = "linf",
    certifier: str | Certifier = "cnn-cert-relu",
    clip_input: bool = False,
    intersect_ibp: bool = False,
    input_range: Range = PIXELS,
) -> CertificationResult:
    """The verdict on each point. Arguments and errors as :func:`margin_bounds`.

    The bounds are rounded outward, so a margin > 0 is a certificate. Where that may have cost it in float32, close to
    0, the point is bounded again in float64. At ε = 0 the margins are those of the point itself. Faster certifiers
    whose bounds are never above this one's come first, then a short attack; points that one of them certifies, or that
    are misclassified, at x or where the attack gets to, keep the last margin found.
    """
    return verdicts(*checked_points(net, x, y, eps, norm, clip_input, input_range), certifier, intersect_ibp)


def verdicts(
    net: Network, balls: Ball, labels: Tensor, certifier: str | Certifier, intersect_ibp: bool = False
) -> CertificationResult:
    """:func:`certify_points` of arguments that are checked, in full precision."""
    x, dtype = balls.x, certificate_dtype(balls.x)
    parts = [slice(start, start + 1000) for start in range(0, len(x), 1000)]
    predicted = torch.cat([net(x[part]).argmax(1) for part in parts]) if len(x) else labels

    def smallest_margin(points: Tensor, name: str | Certifier, dtype: torch.dtype) -> Tensor:
        ball = balls.select(itemgetter(points))
        return _margins(net, ball, labels[points], _made(name, intersect_ibp), dtype).amin(1)

    order = [*_made(certifier, intersect_ibp).NEVER_BELOW, certifier]
    if balls.largest_eps == 0:
        del order[1:]  # the ball is the point, which the fastest bounds as well as all others
    margin, stage = torch.zeros(len(x), dtype=dtype, device=x.device), torch.zeros_like(labels)
    needed = torch.zeros_like(margin)
    if dtype != torch.float64:
        for part in parts:
            needed[part] = CLOSE * _size(net, balls.select(itemgetter(part)))
    certified = torch.zeros_like(labels, dtype=torch.bool)
    rechecked, left = certified.clone(), ~certified
    for index, name in enumerate(order):
        if 0 < index == len(order) - 1:  # no bound is high enough for what is broken
            left[left.clone()] = ~_broken(net, balls.select(itemgetter(left)), labels[left])
        margin[left], stage[left] = smallest_margin(left, name, dtype), index
        certified |= left & (margin > needed)
        close = left & ~((margin.abs() > needed) & margin.isfinite())  # NaN is close, too
        if dtype != torch.float64 and close.any():
            margin64 = smallest_margin(close, name, torch.float64)
            margin[close], certified[close] = margin64.to(dtype), margin64 > 0
            rechecked |= close
        left &= ~certified & (predicted == labels)
    return CertificationResult(predicted, margin.to(x.dtype), certified & (predicted == labels), rechecked, stage)


def _broken(net: Network, balls: Ball, labels: Tensor) -> Tensor:
    """(B,) bool: which points an attack of a second or so breaks; none where each has an ε of its own."""
    if isinstance(balls.eps, Tensor):
        return torch.zeros_like(labels, dtype=torch.bool)
    graph = copy.deepcopy(net).requires_grad_(False)

    def broken(points: slice) -> Tensor:
        ball, y = balls.select(itemgetter(points)), labels[points]
        best = BestAdversarial(graph, ball, y)
        descend(graph, ball.x, y, best, seed=0, restarts=1, steps=20)
        return best.broken

    none = torch.zeros(0, dtype=torch.bool, device=labels.device)
    return torch.cat([none, *map_chunks(len(labels), point_chunk(graph, balls.x), broken)])


def _size(net: Network, ball: Ball) -> Tensor:
    """For each point (B,), a bound on all numbers that a margin is added up from."""
    return 2 * Magnitude().output(net, ball).amax(1)
