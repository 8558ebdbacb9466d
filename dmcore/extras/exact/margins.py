"""Exact minima of linear forms of the logits over balls, exact margins, and the certifier that they make."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmcore.certifiers.certifier import Certifier
from dmcore.certify import checked_points
from dmcore.crown.backward import substitute
from dmcore.crown.bounds import intersection, node_box
from dmcore.crown.margins import by_class, margin_rows
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.domains import Interval
from dmcore.domains.rounding import underflow
from dmcore.extras.exact.ball import check_ball
from dmcore.extras.exact.model import Model
from dmcore.linear.dense import Dense
from dmcore.linear.relaxations import SLOPES
from dmcore.nets.layers import Nonlinear
from dmcore.nets.network import Network
from dmcore.perturbation import Ball, Box
from dmcore.perturbation.ball import PIXELS, Range
from dmcore.perturbation.inputs import Radius
from dmcore.precision import full_precision
from dmcore.registries import certifier

TIME_LIMIT, NODE_LIMIT = 60.0, 20_000  # of one solve: seconds, and nodes of the tree


class Minima(NamedTuple):
    """Minima of linear forms over balls; all of shape (B, R), lower and upper in float64.

    Attributes:
        lower: a sound lower bound.
        upper: the value at an input of the ball, the best that was found.
        solved: the solver has proved the minimum up to its tolerances, so that lower and upper are both that.
    """

    lower: Tensor
    upper: Tensor
    solved: Tensor


class Relaxations:
    """Intervals and the linear relaxations of all slopes, each using what the others know of the layers before.

    Attributes:
        boxes: by node, for the input of every non-linear layer.
    """

    def __init__(self, net: Network, ball: Ball) -> None:
        self.net, self.boxes = net, dict[int, Box]()
        self._linear = [RelaxedNetwork(net, ball, slope, self.boxes) for slope in SLOPES]
        intervals = Interval().states(net, ball)
        for node in net.nodes():
            if isinstance(node.layer, Nonlinear):
                (parent,) = node.parents
                if parent not in self.boxes:
                    found = [intervals[parent], *(node_box(relaxed, parent) for relaxed in self._linear)]
                    self.boxes[parent] = intersection(found)

    def lower(self, rows: Dense) -> Tensor:
        """Lower bounds (B, R) of linear forms of the logits: the best of the relaxations."""
        found = [substitute(relaxed, self.net.output, rows, upper=False)[0] for relaxed in self._linear]
        return torch.stack(found).amax(0)


@torch.no_grad()
def minima(
    net: Network,
    ball: Ball,
    rows: Dense,
    time_limit: float = TIME_LIMIT,
    node_limit: int = NODE_LIMIT,
    point_limit: float = math.inf,
) -> Minima:
    """Minima over ``ball`` of the linear forms ``rows`` (B or 1, R, K) of the logits of ``net``, in float64.

    The limits are each solve's, seconds and nodes of the tree, and the seconds of all solves of a point. Where one of
    them ends a solve, ``lower`` is what had been proved by then; without one, what the relaxations say.

    Raises:
        UserError: the norm ℓ2, a layer without a rule, a point with too many undecided ReLUs and max-pools.
    """
    check_ball(ball)
    net, balls = copy.deepcopy(net).double(), replace(ball, x=ball.x.double())
    x = balls.x
    data = rows.data.double().expand(len(x), *rows.data.shape[1:])
    lower, upper = data.new_empty(data.shape[:2]), data.new_empty(data.shape[:2])
    solved = torch.zeros_like(lower, dtype=torch.bool)
    for i in range(len(x)):
        point = balls.select(itemgetter(slice(i, i + 1)))
        relaxations = Relaxations(net, point)
        model = Model(net, point, relaxations.boxes)
        upper[i], found = data[i] @ net(point.x)[0], relaxations.lower(Dense(data[i : i + 1]))[0]
        end = time.monotonic() + point_limit
        for r, row in enumerate(data[i]):
            bound, at = -math.inf, None
            if (left := end - time.monotonic()) > 0:
                bound, at, solved[i, r] = model.minimum(row, min(time_limit, left), node_limit)
            if at is not None:
                upper[i, r] = torch.minimum(upper[i, r], row @ net(at)[0])
            lower[i, r] = found[r].clamp(min=bound) - model.rounding[net.output][0] @ row.abs()
    # No bound can be above a value that occurs: one that is, is wrong by at least that much.
    return Minima(torch.minimum(lower, upper), upper, solved)


@full_precision()
def exact_margins(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: Radius,
    norm: str = "linf",
    clip_input: bool = False,
    input_range: Range = PIXELS,
    time_limit: float = TIME_LIMIT,
    node_limit: int = NODE_LIMIT,
) -> Minima:
    """The smallest margins z_y − z_j over the ε-ball around x, from both sides.

    Args:
        net, x, y, eps, clip_input, input_range: as :func:`dmcore.certify.margin_bounds`.
        norm: ``linf``, ``l1`` or ``l0``.
        time_limit, node_limit: of one margin's solve: seconds, and nodes of the tree.

    Returns:
        (lower, upper, solved), each (B, K), float64: a bound, a margin that occurs at an input of the ball, and whether
        the bound is proved to be the minimum. At j = y +inf, +inf and True.

    Raises:
        UserError: as ``margin_bounds``; the norm ℓ2, a point with too many undecided ReLUs and max-pools.
    """
    graph, ball, labels = checked_points(net, x, y, eps, norm, clip_input, input_range)
    (classes,) = graph.shapes(ball.x)[graph.output]
    found = minima(graph, ball, margin_rows(labels, classes, ball.x), time_limit, node_limit)
    below = found.lower - underflow(graph, ball, [graph.output], rows=2.0)
    lower, upper = (by_class(bound, labels, torch.inf) for bound in (below, found.upper))
    return Minima(lower, upper, by_class(found.solved, labels, True))


@certifier("milp")
class Milp(Certifier):
    """The minimum itself, proved by HiGHS; where that takes too long, what was proved by then. Not for the norm ℓ2.

    Args:
        time_limit: seconds of a point; by default only each margin's solve has limits.
    """

    LABEL = "MILP"

    def __init__(self, intersect_ibp: bool = False, time_limit: float | None = None) -> None:
        super().__init__(intersect_ibp)
        self.time_limit = time_limit

    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        limit = self.time_limit
        found = minima(net, ball, rows) if limit is None else minima(net, ball, rows, limit, point_limit=limit)
        bound = found.lower
        rounded = bound.to(ball.x.dtype)
        below = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
        return torch.where(rounded.double() > bound, below, rounded)
