"""Backward substitution of linear bounds, from any node down to the input (CNN-Cert; §2.3).

Linear forms are counted from a *reference*: a value ẑ of every node, carried forwards from the middle of the ball
through the middle of each pair of lines. What is substituted is a form of the deviation z − ẑ, so biases and centres
drop out, and a bound is the form's value at the reference, minus or plus what adds up on the way down:
``|coefficient| · gap`` at each non-linear layer, with the gap half the distance of its two lines at the reference, and
how far the form moves over the ball at the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from dmcore.crown.relaxations import Lines, Slope, lines_of_layer
from dmcore.crown.rounding import Rounding, gamma, outward
from dmcore.device import out_of_memory
from dmcore.domains.rules import RuleTable
from dmcore.linear.coefficients import (
    Coefficients,
    Dense,
    Maps,
    Modulated,
    Patches,
    entries,
    identity,
)
from dmcore.linear.concretize import is_box, pivot, reach, symmetric
from dmcore.linear.forms import Around, Form, Radius
from dmcore.nets.layers import Affine, Flatten, Nonlinear, ReLU, Sum
from dmcore.nets.network import INPUT, Network, Node
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box

T = TypeVar("T")

CACHED = 2**22  # coefficients at once of dense forms on a CPU: what its caches hold
FEW = 0.5  # up to this share of a node's values are worth picking out, rather than bounding all of them


@dataclass
class LinearRelaxation(RuleTable):
    """Bounds on the nodes of ``net`` over ``ball`` by backward substitution.

    Attributes:
        slope: the lower line of an unstable ReLU (Figure 3).
        boxes: bounds of nodes. The inputs of non-linear layers must be there before anything behind them is bounded.
        stop: nodes at whose box the substitution ends; the input's ball always ends it.
        signs_only: leave :meth:`outer_box` where only signs matter and it tells them, which is faster.
        exact: the network in float64. With it references are computed in float64, and bounds make room for every
            rounding error (docs/soundness.md): they hold for real numbers. Not for training: it holds up gradients.
        sizes: how many rows or values of a node fit the budget at once, where not all did; kept from batch to batch.
    """

    net: Network
    ball: Ball
    slope: Slope = "relu"
    boxes: dict[int, Box] = field(default_factory=dict)
    stop: frozenset[int] = frozenset()
    signs_only: bool = False
    exact: Network | None = None
    sizes: dict[tuple[int, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes = self.net.shapes(self.ball.x)
        self.lines: dict[int, Lines] = {}
        self.references: dict[int, Tensor] = {}
        self.gaps: dict[tuple[int, int], Tensor] = {}
        self.ranges: dict[int, Box] = {}
        self.rounding = None if self.exact is None else Rounding(self, self.exact)

    def bound_hidden(self) -> LinearRelaxation:
        """Bounds every non-linear layer's input, in order, by full backward substitution.

        With ``signs_only`` a value whose sign is all that matters, as to a ReLU, keeps its :meth:`outer_box` where that
        tells it. The bounds of the outputs are the same.
        """
        for node in self.net.nodes():
            if _bends(node):
                (parent,) = node.parents
                if parent not in self.boxes:
                    self.boxes[parent] = self.box(parent, self.outer_box(parent) if self.signs_only else None)
        return self

    def outer_box(self, index: int) -> Box | None:
        """A box around that of :meth:`box`, by one step of intervals from the layers below; None where it is of no use.

        It is never inside the box of full substitution, whatever the slopes: with lines that bound σ on boxes that
        the same substitution gave, the bound of a sum of forms is at least the sum of their bounds. (A ReLU turns the
        coefficients a + b into a⁺ + b⁺ − δ times the lower line and a⁻ + b⁻ + δ times the upper one, δ ≥ 0, so what is
        gained is δ times the lines' distance, whose own bound is that at an end of the box, ≥ 0.) So a sign that this
        box tells is the one that the full substitution would find.
        """
        return self._range(index) if self.only_signs_matter(index) else None

    def only_signs_matter(self, index: int) -> bool:
        """Whether ReLUs alone bend this node, and others come before it: first layers are bounded as fast in full."""
        layers = [node.layer for node in self.net.nodes() if index in node.parents and _bends(node)]
        return all(isinstance(layer, ReLU) for layer in layers) and self._bends_before[index] > 0

    @cached_property
    def _bends_before(self) -> list[int]:
        return self.net.bends()

    def _range(self, index: int) -> Box:
        """A node's range by intervals, from those behind the last non-linear layers, or from the ball."""
        from dmcore.domains.interval import Interval  # not at the top: all domains begin with this package's reach

        if index not in self.ranges:
            if index == INPUT:
                self.ranges[index] = Box(self.ball.center, self.ball.radius)
                if self.rounding is not None:
                    self.ranges[index] = self.rounding.opened(None, self.ranges[index])
                return self.ranges[index]
            node = self.net.node(index)
            if _bends(node):
                box = self.lines_of(node).range(self.boxes[node.parents[0]])
            else:
                intervals = Interval()
                inputs = [self._range(p) for p in node.parents]
                box = intervals.rule(node.layer)(intervals, node.layer, *inputs)
            self.ranges[index] = box if self.rounding is None else self.rounding.opened(node, box)
        return self.ranges[index]

    def box(self, index: int, outer: Box | None = None) -> Box:
        """Bounds of every value of node ``index``; with ``outer``, only of those whose sign it leaves open."""
        shape = self.shapes[index]
        if outer is not None:
            undecided = ((outer.lower < 0) & (outer.upper > 0)).flatten(1)
            most = int(undecided.sum(1).max()) if len(undecided) else 0
            # A second convolution in full is one convolution of slopes: what is picked out must be few to be cheaper.
            few = FEW / 5 if len(shape) == 3 and self._bends_before[index] == 1 else FEW
            if most < few * undecided.shape[1]:
                return self._refined(index, outer, undecided, most)
        spatial = len(shape) == 3
        count = shape[1] if spatial else torch.Size(shape).numel()
        parts = self._in_parts(index, "rows", count, lambda rows: self._part(index, rows))
        lower, upper = (torch.cat(side, dim=2 if spatial else 1) for side in zip(*parts, strict=True))
        return self._box(lower.reshape(-1, *shape), upper.reshape(-1, *shape))

    def _refined(self, index: int, outer: Box, undecided: Tensor, most: int) -> Box:
        """``outer`` with the bounds of its undecided values put in; a sample has at most ``most`` of them."""
        if most == 0:
            return outer
        shape = self.shapes[index]
        # As many for each sample: those with fewer get some of the others, too, whose bounds hold as well.
        chosen = undecided.int().argsort(dim=1, descending=True, stable=True)[:, :most]

        def part(columns: slice) -> tuple[Tensor, Tensor]:
            start = entries(chosen[:, columns], shape, self.ball.x)
            return self.substitute(index, start)

        parts = self._in_parts(index, "values", most, part)
        sides = (torch.cat(side, dim=1) for side in zip(*parts, strict=True))
        wide = (outer.lower.flatten(1), outer.upper.flatten(1))
        lower, upper = (w.scatter(1, chosen, own) for w, own in zip(wide, sides, strict=True))
        return self._box(lower.reshape(-1, *shape), upper.reshape(-1, *shape))

    def _box(self, lower: Tensor, upper: Tensor) -> Box:
        return Box.between(lower, upper) if self.rounding is None else self.rounding.box(lower, upper)

    def _in_parts(self, index: int, what: str, count: int, work: Callable[[slice], T]) -> list[T]:
        """``work`` on ``count`` rows (or single values, as ``what`` says) of a node, as many at a time as fit."""
        most = self.sizes.get((index, what), count)
        if len(self.shapes[index]) != 3 and self.ball.x.device.type == "cpu":
            widest = max(torch.Size(shape).numel() for shape in self.shapes)
            most = min(most, max(2, CACHED // (max(1, len(self.ball.x)) * widest)))
        parts, start, size = [], 0, min(count, most)
        while start < count:
            rows = slice(start, min(start + size, count))
            try:
                parts.append(work(rows))
            except (RuntimeError, MemoryError) as error:
                if size == 1 or not out_of_memory(error):
                    raise
                torch.cuda.empty_cache()  # of blocks that fit no longer; does nothing without a GPU
                size = self.sizes[index, what] = -(-size // 2)
            else:
                start = rows.stop
        return parts

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
        radius = Radius()
        while pending:
            at = max(pending)
            form = pending.pop(at)
            if at == INPUT or at in self.stop:
                self._concretise(at, form, radius)
                continue
            node = self.net.node(at)
            for parent, passed in zip(node.parents, self.rule(node.layer)(self, node, form, radius), strict=True):
                pending[parent] = pending[parent] + passed if parent in pending else passed
        return self._around(index, start, radius, upper)

    def _around(self, index: int, start: Coefficients, radius: Radius, upper: bool) -> tuple[Tensor, Tensor]:
        """The forms' values at the reference, and the radius below and above them."""
        batch = len(self.ball.x)
        if self.rounding is None:
            value = start.dot(self.reference(index))
            lower = (value - radius.lower).expand(batch, -1)
            return lower, (value + radius.upper).expand(batch, -1) if upper else lower
        reference, dtype = self.reference(index), self.ball.x.dtype
        wide = start.double()
        value = wide.dot(reference)
        own = start.abs_dot(self.rounding.error(index)).double() * (1 + self.rounding.gamma(start.chain + 8))
        own = own + wide.abs_dot(reference.abs()) * gamma(start.chain + 8, torch.float64)
        room = 1 + self.rounding.gamma(len(self.shapes) + 8)
        sides = value - radius.lower * room - own, value + radius.upper * room + own
        down, up = (outward(side, dtype, sign).expand(batch, -1) for side, sign in zip(sides, (-1, 1), strict=True))
        return down, up if upper else down

    def reference(self, index: int) -> Tensor:
        """ẑ, the value of node ``index`` from which its deviations are counted: (B, *shape)."""
        if index not in self.references:
            if index in self.stop or index == INPUT:
                value = pivot(self.boxes[index] if index in self.stop else self.ball)
                value = value if self.exact is None else value.double()
            else:
                node = (self.exact or self.net).node(index)
                inputs = [self.reference(p) for p in node.parents]
                value = self.lines_of(node).middle(*inputs) if _bends(node) else node.layer(*inputs)
            self.references[index] = value
        return self.references[index]

    def _concretise(self, at: int, form: Form, radius: Radius) -> None:
        """How far a form moves over the ball, or over the box of the node at which the substitution ends."""
        region = self.ball if at == INPUT else self.boxes[at]
        if isinstance(form.lower, Maps) and isinstance(form.upper, Maps) and not form.shared and is_box(region):
            sides = form.lower.abs_dots(form.upper, region.radius)
            radius.add(*(self._rounded_up(c, side) for c, side in zip((form.lower, form.upper), sides, strict=True)))
            return
        low = self._rounded_up(form.lower, reach(form.lower, region, upward=False))
        if form.upper is None or (form.shared and symmetric(region)):
            radius.add(low, low)
        else:
            radius.add(low, self._rounded_up(form.upper, reach(form.upper, region, upward=True)))

    def _rounded_up(self, forms: Coefficients, reached: Tensor) -> Tensor:
        """What forms reach, with room for the errors of that sum."""
        if self.rounding is None:
            return reached
        changed = math.ceil(self.ball.largest_eps) if self.ball.norm == "l0" else 0  # so many gains are added up
        return reached * (1 + 2 * self.rounding.gamma(forms.chain + changed + 8))

    def lines_of(self, node: Node) -> Lines:
        """The linear bounds of a non-linear layer over its input's box, made once."""
        if node.index not in self.lines:
            box = self.boxes[node.parents[0]]
            ties = self.rounding is not None and (self.slope != "relu" or not isinstance(node.layer, ReLU))
            slack = 2 * self.rounding.slack(node.parents[0]) if ties else 0.0
            self.lines[node.index] = lines_of_layer(node.layer, box.lower, box.upper, self.slope, slack)
        return self.lines[node.index]

    def gap(self, node: Node, chain: int) -> Tensor:
        """Half the distance of a layer's lines at the reference, with the errors of sums of ``chain`` numbers."""
        if (node.index, chain) not in self.gaps:
            lines = self.lines_of(node)
            gap = lines.gap(self.reference(node.parents[0]))
            if self.rounding is not None:
                slope = lines.slope if lines.parallel else torch.maximum(lines.lower_slope, lines.upper_slope)
                gap = self.rounding.gap(node, gap.to(slope.dtype), slope, chain)
            self.gaps[node.index, chain] = gap
        return self.gaps[node.index, chain]


def _bends(node: Node) -> bool:
    return isinstance(node.layer, Nonlinear)


@LinearRelaxation.passes(Affine)
def _affine(domain: LinearRelaxation, node: Node, form: Form, radius: Radius) -> list[Form]:
    in_shape = domain.shapes[node.parents[0]]
    return [form.map(lambda c: c.through(node.layer, in_shape))]


@LinearRelaxation.passes(Flatten)
def _flatten(domain: LinearRelaxation, node: Node, form: Form, radius: Radius) -> list[Form]:
    return [form.map(lambda c: c.dense().reshape(domain.shapes[node.parents[0]]))]


@LinearRelaxation.passes(Sum)
def _sum(domain: LinearRelaxation, node: Node, form: Form, radius: Radius) -> list[Form]:
    scaled = form if node.layer.scale == 1.0 else form.map(lambda c: c.times(node.layer.scale))
    return [scaled] * len(node.parents)


@LinearRelaxation.passes(Nonlinear)
def _relax(domain: LinearRelaxation, node: Node, form: Form, radius: Radius) -> list[Form]:
    """Puts the lines in the layer's place: a lower bound takes the lower line where its coefficient is ≥ 0.

    With c the coefficients, m and d half the sum and half the difference of the upper and the lower slope, those below
    are ``c m − |c| d`` for a lower bound and ``c m + |c| d`` for an upper one.
    """
    (parent,) = node.parents
    lines = domain.lines_of(node)
    form = form.map(lambda c: c.explicit if isinstance(c, Maps) else c)  # needed more than once
    gap = domain.gap(node, max(c.chain for c in (form.lower, form.upper) if c is not None))

    def through(c: Coefficients, slopes: Tensor) -> Coefficients:
        if lines.pool is not None:
            return c.through_pool(lines.pool, slopes, domain.shapes[parent])
        return Modulated.product(c, slopes) if isinstance(c, Patches) and c.shared else c.times(slopes)

    if lines.parallel:
        below = form.lower.abs_dot(gap)
        radius.add(below, below if form.upper is None or form.shared else form.upper.abs_dot(gap))
        return [form.map(lambda c: through(c, lines.slope))]

    def tilted(c: Coefficients, sign: int) -> Coefficients:
        if lines.pool is None and isinstance(c, Dense | Patches) and not c.shared:
            return c.tilted(lines.slope, lines.half_slope, sign)
        middle, half = through(c, lines.slope), through(c.abs(), lines.half_slope)
        return middle + half if sign > 0 else middle - half

    below = form.lower.abs_dot(gap)
    if form.upper is None:
        radius.add(below, below)
        return [Form(tilted(form.lower, -1), None)]
    if form.shared:
        radius.add(below, below)
        return [Around(through(form.lower, lines.slope), through(form.lower.abs(), lines.half_slope))]
    radius.add(below, form.upper.abs_dot(gap))
    return [Form(tilted(form.lower, -1), tilted(form.upper, 1))]
