"""Rounding errors of a linear relaxation, bounded in advance (docs/soundness.md derives every term).

A form c of the deviations of a node's values z from their reference ẑ is computed with errors of three kinds: the
reference is off, the coefficients are off, and the sums are off. All of them add up to ``|c| · e`` with some e ≥ 0 for
each value of the node, so they go where the gaps of the linear bounds go, and cost no pass of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from dmcore.crown.once import once
from dmcore.linear.rounding import EXTRA_ROUNDINGS, gamma, roundings
from dmcore.nets.layers import Affine, MaxPool, Nonlinear, Sum
from dmcore.nets.network import INPUT, Network, Node
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box


class RoundingErrors:
    """The errors at each node of a network over a ball; each value is worked out once.

    Args:
        net: in whose dtype forms are computed.
        boxes: bounds of nodes; those that are found later may be added.
        stop: nodes at whose box substitutions end.
        reference: a node's reference, in float64.
    """

    def __init__(
        self,
        net: Network,
        ball: Ball,
        boxes: Mapping[int, Box],
        stop: Collection[int],
        reference: Callable[[int], Tensor],
    ) -> None:
        self.net, self.ball, self.boxes, self.stop = net, ball, boxes, stop
        self._exact_reference = reference
        self._roundings = roundings(net)
        self._readers = Counter(parent for node in net.nodes() for parent in node.parents)

    def gamma(self, count: int) -> float:
        """γ_n of the network's dtype."""
        return gamma(count, self.ball.x.dtype)

    @once
    def spread(self, index: int) -> Tensor:
        """How far a node's values get from the reference at most, (B or 1, *shape)."""
        spread = self._exact_spread(index)
        return spread + (spread + self._reference(index).abs()) * self.gamma(EXTRA_ROUNDINGS)

    def gap(self, node: Node, gap: Tensor, slope: Tensor, summation_length: int) -> Tensor:
        """A non-linear layer's gap with all errors in it: its own, the layers' behind, those of the sum it goes into.

        Args:
            gap: half the distance of the linear bounds at the reference.
            slope: the larger one of each pair of slopes.
            summation_length: how many numbers the coefficients' products with the gap are added up from.
        """
        (parent,) = node.parents
        box = self.boxes[parent]
        size = torch.maximum(torch.maximum(box.lower.abs(), box.upper.abs()), self._reference(parent).abs())
        off = self.error(parent)
        if isinstance(node.layer, MaxPool):
            off = (slope * node.layer.windows(off.expand_as(size), 0.0)).sum(-1)
            size = node.layer(size)
        else:
            off = slope * off
        constant = (slope == 0).all(-1) if isinstance(node.layer, MaxPool) else slope == 0
        # Behind a dead ReLU the value itself is known, without an error; but a bound that is no number knows nothing.
        known = constant & (gap == 0) & size.isfinite()
        total = (
            gap
            + off * (1 + self.gamma(_entries(node.layer) + EXTRA_ROUNDINGS))
            + size * self._relaxation_error(node.layer)
        )
        return torch.where(known, 0.0, total + total.abs() * (2 * self.gamma(summation_length + EXTRA_ROUNDINGS)))

    def _reference(self, index: int) -> Tensor:
        return self._exact_reference(index).to(self.ball.x.dtype)

    def _exact_spread(self, index: int) -> Tensor:
        reference = self._reference(index)
        if index in self.boxes:
            box = self.boxes[index]
            return torch.maximum(box.upper - reference, reference - box.lower).abs()
        if index == INPUT:
            ball = self.ball
            return ball.radius if ball.norm == "linf" else torch.maximum(ball.max_decrease, ball.max_increase)
        node = self.net.node(index)
        if isinstance(node.layer, Nonlinear):
            box = self.boxes[node.parents[0]]
            sides = node.layer(box.upper) - reference, reference - node.layer(box.lower)
            return torch.maximum(*sides).abs()
        inputs = [self.spread(parent) for parent in node.parents]
        if isinstance(node.layer, Affine):
            (forward, _) = node.layer.terms()
            return node.layer.magnitude(*inputs) * (1 + self.gamma(forward + EXTRA_ROUNDINGS))
        return node.layer(*inputs)

    @once
    def error(self, index: int) -> Tensor:
        """e: what forms over a node are off by since the last non-linear layer, for each coefficient of size 1."""
        if index in self.stop or index == INPUT:
            exact = index == INPUT and not self.ball.one_sided
            size = self.spread(index) if exact else self.spread(index) + self._reference(index).abs()
            return size * self.gamma(EXTRA_ROUNDINGS)
        node = self.net.node(index)
        if isinstance(node.layer, Nonlinear):  # its own rule takes care of all that came before
            return torch.zeros_like(self._reference(index))
        return self._passed(node, [self.error(parent) for parent in node.parents])

    def _passed(self, node: Node, inputs: list[Tensor]) -> Tensor:
        """What forms over an affine layer's, a flatten's or a sum's output are off by, if those over its inputs are."""
        several = EXTRA_ROUNDINGS + sum(self._readers[parent] for parent in node.parents)
        if isinstance(node.layer, Affine):
            (parent,) = node.parents
            forward, backward = node.layer.terms()
            behind = self._reference(parent).abs()
            own = self.spread(parent) * self.gamma(backward + several)
            off = node.layer.magnitude(inputs[0] + own + behind * gamma(forward + EXTRA_ROUNDINGS, torch.float64))
            offset = node.layer.offset()
            off = off * (1 + self.gamma(forward + EXTRA_ROUNDINGS))
            return off if offset is None else off + offset.abs() * gamma(EXTRA_ROUNDINGS, torch.float64)
        moved = [e + self.spread(p) * self.gamma(several) for e, p in zip(inputs, node.parents, strict=True)]
        total = node.layer(*moved)
        if not isinstance(node.layer, Sum):
            return total
        sizes = node.layer(*(self._reference(parent).abs() for parent in node.parents))
        return (total + sizes * gamma(several, torch.float64)) * (1 + self.gamma(several))

    @once
    def slack(self, index: int) -> Tensor:
        """An estimate of how far a node's bounds are rounded outward, seldom less than half of it: (B, *shape).

        Nothing sound rests on it: it says which bounds may be equal but for that.
        """
        node = None if index == INPUT or index in self.stop else self.net.node(index)
        if node is None:
            passed = self.error(index)
        elif isinstance(node.layer, Nonlinear):
            (parent,) = node.parents
            box = self.boxes[parent]
            size = torch.maximum(box.lower.abs(), box.upper.abs())
            error = self._relaxation_error(node.layer)
            passed = node.layer(self.slack(parent).expand_as(size)) + node.layer(size) * error
        else:
            passed = self._passed(node, [self.slack(parent) for parent in node.parents])
        count, spread, size = self._roundings[index], self.spread(index), self._reference(index).abs()
        sums = spread * self.gamma(count) + size * gamma(count, torch.float64)
        return passed + sums + (spread + size) * self.gamma(2 * EXTRA_ROUNDINGS)

    def _relaxation_error(self, layer: nn.Module) -> float:
        """The error of a non-linear layer's slopes and intercepts, for values of size 1."""
        return self.gamma(4 * EXTRA_ROUNDINGS + 2 * EXTRA_ROUNDINGS * _entries(layer))


def _entries(layer: nn.Module) -> int:
    """How many values one output of a non-linear layer is made of."""
    return layer.kernel[0] * layer.kernel[1] if isinstance(layer, MaxPool) else 1


def outward_box(lower: Tensor, upper: Tensor) -> Box:
    """A box around [lower, upper], which it holds as a centre and a radius, and around the errors of these."""
    slack = torch.maximum(lower.abs(), upper.abs()) * gamma(EXTRA_ROUNDINGS, lower.dtype)
    return Box.between(lower - slack, upper + slack)


def outward_interval(layer: nn.Module | None, box: Box, inputs: list[Box]) -> Box:
    """The ``box`` that interval arithmetic made of a layer's ``inputs``, with its errors; None: the ball's own box."""
    size, dtype = box.center.abs() + box.radius, box.center.dtype
    sizes = [box.center.abs() + box.radius for box in inputs]
    if isinstance(layer, Affine):
        (forward, _) = layer.terms()
        size = size + layer.magnitude(*sizes)
        return Box(box.center, box.radius + size * gamma(forward + EXTRA_ROUNDINGS, dtype))
    if isinstance(layer, Nonlinear):  # the slopes and intercepts of its linear bounds are rounded, too
        size = size + layer(*sizes) * 2 * _entries(layer)
    return Box(box.center, box.radius + size * gamma(4 * EXTRA_ROUNDINGS, dtype))
