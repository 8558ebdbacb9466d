"""Backward substitution of linear bounds, from any node down to the input (CNN-Cert; §2.3).

Linear forms are counted from a *reference*: a value ẑ of every node, carried forwards from the middle of the ball
through the middle of each pair of linear bounds. What is substituted is a form of the deviation z − ẑ, so biases and
centres drop out, and a bound is the form's value at the reference, minus or plus what adds up on the way down:
``|coefficient| · gap`` at each non-linear layer, with the gap half the distance of its two bounds at the reference, and
how far the form moves over the ball at the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import singledispatch

import torch
from torch import Tensor, nn

from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.errors import UserError
from dmcore.linear.coefficients import Coefficients
from dmcore.linear.concretize import concretize, coupled, symmetric
from dmcore.linear.dense import Dense
from dmcore.linear.forms import Form, LowerUpper, MidRadius, added
from dmcore.linear.fused import scaled
from dmcore.linear.rounding import EXTRA_ROUNDINGS, gamma, outward
from dmcore.nets.layers import Affine, Flatten, Nonlinear, Sum
from dmcore.nets.network import INPUT, Network, Node, Shape


def backward(
    net: Network,
    shapes: list[Shape],
    index: int,
    form: Form,
    relax: Callable[[Node, Form], Form],
    stop: Collection[int] = (),
) -> dict[int, Form]:
    """The form of node ``index`` as forms of the input, and of the nodes in ``stop`` at which it ends.

    Args:
        relax: takes a form over a non-linear layer's output to one over its input.
    """
    pending, ends = {index: form}, {}
    while pending:
        at = max(pending)
        form = pending.pop(at)
        if at == INPUT or at in stop:
            ends[at] = form
            continue
        node = net.node(at)
        if isinstance(node.layer, Nonlinear):
            form = relax(node, form)
        else:
            form = through(node.layer, form, shapes[node.parents[0]])  # the shape of all inputs
        for parent in node.parents:
            pending[parent] = added(pending[parent], form) if parent in pending else form
    return ends


@singledispatch
def through(layer: nn.Module, form: Form, in_shape: Shape) -> Form:
    """A form over a layer's output as one over each of its inputs; a layer of a new linear kind registers its own."""
    raise UserError(f"backward substitution has no rule for the layer {type(layer).__name__}")


@through.register
def _(layer: Affine, form: Form, in_shape: Shape) -> Form:
    return form.map(lambda c: c.through(layer, in_shape))


@through.register
def _(layer: Flatten, form: Form, in_shape: Shape) -> Form:
    return form.map(lambda c: Dense(c.dense().unflatten(2, in_shape)))


@through.register
def _(layer: Sum, form: Form, in_shape: Shape) -> Form:
    return form if layer.scale == 1.0 else form.map(lambda c: c.map(lambda a: a * layer.scale))


def substitute(net: RelaxedNetwork, index: int, start: Coefficients, upper: bool = True) -> tuple[Tensor, Tensor]:
    """(lower, upper) bounds, (B, R) each, of the linear forms ``start`` over node ``index``.

    Without ``upper`` only the lower ones are made, and the second value means nothing.
    """
    moves: list[tuple[Tensor, Tensor]] = []
    form = LowerUpper(start, start if upper else None)
    ends = backward(net.net, net.shapes, index, form, lambda node, form: _relax(net, node, form, moves), net.stop)
    moves += [_concretize(net, at, end) for at, end in ends.items()]
    falls, rises = zip(*moves, strict=True)
    return _around(net, index, start, sum(falls), sum(rises), upper)


def _relax(net: RelaxedNetwork, node: Node, form: Form, moves: list[tuple[Tensor, Tensor]]) -> Form:
    """Puts the linear bounds in the layer's place: a lower bound takes the lower one where its coefficient is ≥ 0.

    With c the coefficients, m and d half the sum and half the difference of the upper and the lower slope, those below
    are ``c m − |c| d`` for a lower bound and ``c m + |c| d`` for an upper one.

    Args:
        moves: how far the forms fall and rise at each layer, (B or 1, R) each, to which this layer's are added.
    """
    relaxation = net.relaxation(node.index)
    form = form.map(lambda c: c.reusable)
    gap = net.gap(node.index, max(c.summation_length for c in (form.lower, form.upper) if c is not None))
    below = form.lower.abs_dot(gap)
    moves.append((below, below if form.upper is None or form.shared else form.upper.abs_dot(gap)))
    pool = relaxation.pool
    if pool is not None:
        in_shape = net.shapes[node.parents[0]]
        return form.map(lambda c: c.through_pool(pool, relaxation.slope, in_shape))
    if relaxation.parallel:
        return form.map(lambda c: scaled(c, relaxation.slope))
    slope, half = relaxation.slope, relaxation.half_slope
    if form.upper is not None and form.shared:
        return MidRadius(scaled(form.lower, slope), scaled(form.lower.abs(), half))
    lower = form.lower.relaxed(slope, half, -1)
    return LowerUpper(lower, None if form.upper is None else form.upper.relaxed(slope, half, 1))


def _concretize(net: RelaxedNetwork, at: int, form: Form) -> tuple[Tensor, Tensor]:
    """How far a form falls and rises over the ball, or over the box of the node at which the substitution ends."""
    region = net.region(at)

    def rounded(forms: Coefficients, moved: Tensor) -> Tensor:
        if net.errors is None:
            return moved
        changed = math.ceil(net.ball.largest_eps) if net.ball.norm == "l0" else 0  # so many gains are added up
        return moved * (1 + 2 * net.errors.gamma(forms.summation_length + changed + EXTRA_ROUNDINGS))

    if form.upper is not None and not form.shared and not coupled(region):
        low, high = form.lower.abs_dots(form.upper, region.radius)
        return rounded(form.lower, low), rounded(form.upper, high)
    low = rounded(form.lower, concretize(form.lower, region, upward=False))
    if form.upper is None or (form.shared and symmetric(region)):
        return low, low
    return low, rounded(form.upper, concretize(form.upper, region, upward=True))


def _around(
    net: RelaxedNetwork, index: int, start: Coefficients, fall: Tensor, rise: Tensor, upper: bool
) -> tuple[Tensor, Tensor]:
    """The forms' values at the reference, less and plus how far they fall and rise, rounded outward."""
    batch, reference, dtype = len(net.ball.x), net.reference(index), net.ball.x.dtype
    if net.errors is None:
        value = start.dot(reference)
        lower = (value - fall).expand(batch, -1)
        return lower, (value + rise).expand(batch, -1) if upper else lower
    wide = start.double()
    value = wide.dot(reference)
    count = start.summation_length + EXTRA_ROUNDINGS
    own = start.abs_dot(net.errors.error(index)).double() * (1 + net.errors.gamma(count))
    own = own + wide.abs_dot(reference.abs()) * gamma(count, torch.float64)
    larger = 1 + net.errors.gamma(len(net.shapes) + EXTRA_ROUNDINGS)
    sides = value - fall * larger - own, value + rise * larger + own
    down, up = (outward(side, dtype, sign).expand(batch, -1) for side, sign in zip(sides, (-1, 1), strict=True))
    return down, up if upper else down
