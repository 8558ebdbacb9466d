"""Backward substitution of linear bounds, from any node down to the input (CNN-Cert; §2.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from dmcore.domains.ball import Ball
from dmcore.domains.box import Box
from dmcore.domains.linear_relaxation.coefficients import Coefficients, Dense, OverBudgetError, identity
from dmcore.domains.linear_relaxation.lines import Lines, Slope, pool_lines, relu_lines
from dmcore.domains.linear_relaxation.reach import pivot, reach, symmetric
from dmcore.domains.rules import RuleTable
from dmcore.layers import Affine, Flatten, MaxPool, Nonlinear, ReLU, Sum
from dmcore.nets.network import INPUT, Network, Node


@dataclass
class Form:
    """``lower · z + …`` and ``upper · z + …`` bounding the same quantities; upper is None if nobody asks for it."""

    lower: Coefficients
    upper: Coefficients | None

    @property
    def shared(self) -> bool:
        """Whether one set of coefficients serves both bounds."""
        return self.upper is self.lower

    def map(self, change: Callable[[Coefficients], Coefficients]) -> Form:
        """The same change of both sets of coefficients, made once where they are shared."""
        lower = change(self.lower)
        if self.upper is None:
            return Form(lower, None)
        return Form(lower, lower if self.shared else change(self.upper))

    def __add__(self, other: Form) -> Form:
        if self.upper is None or other.upper is None:
            return Form(self.lower + other.lower, None)
        if self.shared and other.shared:
            total = self.lower + other.lower
            return Form(total, total)
        return Form(self.lower + other.lower, self.upper + other.upper)


@dataclass
class Constants:
    """What the forms under way have left behind: constant terms of the lower and the upper bounds, (B, R) each."""

    lower: Tensor | float = 0.0
    upper: Tensor | float = 0.0

    def add(self, form: Form, t: Tensor) -> None:
        """Adds ``form · t``."""
        low = form.lower.dot(t)
        self.lower = self.lower + low
        if form.upper is not None:
            self.upper = self.upper + (low if form.shared else form.upper.dot(t))


@dataclass
class LinearRelaxation(RuleTable):
    """Bounds on the nodes of ``net`` over ``ball`` by backward substitution.

    Attributes:
        slope: the lower line of an unstable ReLU (Figure 3).
        boxes: bounds of nodes. The inputs of non-linear layers must be there before anything behind them is bounded.
        stop: nodes at whose box the substitution ends; the input's ball always ends it.
    """

    net: Network
    ball: Ball
    slope: Slope = "relu"
    boxes: dict[int, Box] = field(default_factory=dict)
    stop: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        self.shapes = self.net.shapes(self.ball.x)
        self.lines: dict[int, Lines] = {}

    def bound_hidden(self) -> LinearRelaxation:
        """Bounds every non-linear layer's input, in order, each by full backward substitution."""
        for node in self.net.nodes():
            if isinstance(node.layer, Nonlinear):
                (parent,) = node.parents
                if parent not in self.boxes:
                    self.boxes[parent] = self.box(parent)
        return self

    def box(self, index: int) -> Box:
        """Bounds of every value of node ``index``."""
        shape = self.shapes[index]
        spatial = len(shape) == 3
        count = shape[1] if spatial else torch.Size(shape).numel()
        parts, start, size = [], 0, count
        while start < count:
            rows = slice(start, min(start + size, count))
            try:
                parts.append(self._part(index, rows))
            except OverBudgetError:
                if size == 1:
                    raise
                size = -(-size // 2)
            else:
                start = rows.stop
        lower, upper = (torch.cat(side, dim=2 if spatial else 1) for side in zip(*parts, strict=True))
        return Box.between(lower.reshape(-1, *shape), upper.reshape(-1, *shape))

    def _part(self, index: int, rows: slice) -> tuple[Tensor, Tensor]:
        """(lower, upper) of some rows of a (C, H, W) node, or of some entries of a flat one."""
        shape = self.shapes[index]
        start = identity(shape, self.ball.x, rows)
        lower, upper = (start.rows(side) for side in self.substitute(index, start))
        if len(shape) != 3:
            return lower, upper
        grid = (shape[0], rows.stop - rows.start, shape[2])
        return lower.unflatten(1, grid), upper.unflatten(1, grid)

    def substitute(self, index: int, start: Coefficients, upper: bool = True) -> tuple[Tensor, Tensor]:
        """(lower, upper) bounds, (B, R) each, of the linear forms ``start`` over node ``index``.

        Without ``upper`` only the lower ones are made, and the second value means nothing.
        """
        pending = {index: Form(start, start if upper else None)}
        constants = Constants()
        while pending:
            at = max(pending)
            form = pending.pop(at)
            if at == INPUT or at in self.stop:
                self._concretise(at, form, constants)
                continue
            node = self.net.node(at)
            for parent, passed in zip(node.parents, self.rule(node.layer)(self, node, form, constants), strict=True):
                pending[parent] = pending[parent] + passed if parent in pending else passed
        batch = len(self.ball.x)
        lower = torch.as_tensor(constants.lower)
        upper_bound = torch.as_tensor(constants.upper) if upper else lower
        return lower.expand(batch, -1), upper_bound.expand(batch, -1)

    def _concretise(self, at: int, form: Form, constants: Constants) -> None:
        """The extremes of a form over the ball, or over the box of the node at which the substitution ends."""
        region = self.ball if at == INPUT else self.boxes[at]
        constants.add(form, pivot(region))
        low = reach(form.lower, region, upward=False)
        constants.lower = constants.lower - low
        if form.upper is not None:
            same = form.shared and symmetric(region)
            constants.upper = constants.upper + (low if same else reach(form.upper, region, upward=True))

    def lines_of(self, node: Node, make: Callable[[Tensor, Tensor, Slope], Lines]) -> Lines:
        """The linear bounds of a non-linear layer over its input's box, made once by ``make(lower, upper, slope)``."""
        if node.index not in self.lines:
            box = self.boxes[node.parents[0]]
            self.lines[node.index] = make(box.lower, box.upper, self.slope)
        return self.lines[node.index]


@LinearRelaxation.passes(Affine)
def _affine(domain: LinearRelaxation, node: Node, form: Form, constants: Constants) -> list[Form]:
    layer: Affine = node.layer
    offset = layer.offset()
    if offset is not None:
        constants.add(form, offset.expand(1, *domain.shapes[node.index]))
    in_shape = domain.shapes[node.parents[0]]
    return [form.map(lambda c: c.through(layer, in_shape))]


@LinearRelaxation.passes(Flatten)
def _flatten(domain: LinearRelaxation, node: Node, form: Form, constants: Constants) -> list[Form]:
    return [form.map(lambda c: c.dense().reshape(domain.shapes[node.parents[0]]))]


@LinearRelaxation.passes(Sum)
def _sum(domain: LinearRelaxation, node: Node, form: Form, constants: Constants) -> list[Form]:
    scaled = form if node.layer.scale == 1.0 else form.map(lambda c: c.times(node.layer.scale))
    return [scaled] * len(node.parents)


@LinearRelaxation.passes(ReLU)
def _relu(domain: LinearRelaxation, node: Node, form: Form, constants: Constants) -> list[Form]:
    lines = domain.lines_of(node, relu_lines)
    return [_relax(form, lines, constants, lambda c, slope: c.times(slope))]


@LinearRelaxation.passes(MaxPool)
def _pool(domain: LinearRelaxation, node: Node, form: Form, constants: Constants) -> list[Form]:
    pool, in_shape = node.layer, domain.shapes[node.parents[0]]

    def over_windows(c: Coefficients, slope: Tensor) -> Dense:
        dense = c.dense()
        spread = Dense(dense.data[..., None]).times(slope).data
        return Dense(pool.unwindows(spread.flatten(0, 1), in_shape).unflatten(0, spread.shape[:2]))

    return [_relax(form, domain.lines_of(node, partial(pool_lines, pool)), constants, over_windows)]


def _relax(
    form: Form, lines: Lines, constants: Constants, times: Callable[[Coefficients, Tensor], Coefficients]
) -> Form:
    """Puts the lines in the layer's place: a lower bound takes the lower line where its coefficient is ≥ 0."""

    def constant(c: Coefficients, intercept: Tensor | None, intercept_if_negative: Tensor | None) -> Tensor | float:
        total: Tensor | float = 0.0
        if intercept is not None:
            total = total + c.positive().dot(intercept)
        if intercept_if_negative is not None:
            total = total + c.negative().dot(intercept_if_negative)
        return total

    def sloped(c: Coefficients, slope: Tensor, slope_if_negative: Tensor) -> Coefficients:
        if lines.parallel:
            return times(c, slope)
        return times(c.positive(), slope) + times(c.negative(), slope_if_negative)

    constants.lower = constants.lower + constant(form.lower, lines.lower_intercept, lines.upper_intercept)
    lower = sloped(form.lower, lines.lower_slope, lines.upper_slope)
    if form.upper is None:
        return Form(lower, None)
    constants.upper = constants.upper + constant(form.upper, lines.upper_intercept, lines.lower_intercept)
    if form.shared and lines.parallel:
        return Form(lower, lower)
    return Form(lower, sloped(form.upper, lines.upper_slope, lines.lower_slope))
