"""Rounding errors of a linear relaxation, bounded in advance (docs/soundness.md derives every term).

A form c of the deviations of a node's values z from their reference ẑ is computed with errors of three kinds: the
reference is off, the coefficients are off, and the sums are off. All of them add up to ``|c| · e`` with some e ≥ 0 for
each value of the node, so they go where the gaps of the lines go, and cost no pass of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dmcore.nets.layers import Affine, Conv, Diagonal, Linear, MaxPool, Nonlinear, Sum
from dmcore.nets.network import INPUT, Network, Node
from dmcore.perturbation.box import Box

if TYPE_CHECKING:
    from dmcore.crown.backward import LinearRelaxation

FEW = 8
"""More roundings than any value meets besides those of the sums counted: casts, slopes, halves, a bias."""


def gamma(count: int, dtype: torch.dtype) -> float:
    """γ_n = n u / (1 − n u): the relative error of a sum of n numbers, in any order, is at most γ of their sizes."""
    product = count * torch.finfo(dtype).eps / 2
    return product / (1 - product) if product < 1 else torch.inf


def terms(layer: Affine) -> tuple[int, int]:
    """How many products at most are added up to one output (``W x``), and to one coefficient (``Wᵀ g``)."""
    if isinstance(layer, Conv):
        filters, channels, height, width = layer.weight.shape
        return channels * height * width, filters // layer.groups * height * width
    if isinstance(layer, Linear):
        return layer.weight.shape[1], layer.weight.shape[0]
    if isinstance(layer, Diagonal):
        return 1, 1
    inputs = 2**16  # of a layer that nobody has counted
    return inputs, inputs


class _NextAfter(torch.autograd.Function):
    """torch.nextafter, which had no gradient in older versions: one step is a constant."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, towards: Tensor) -> Tensor:
        return torch.nextafter(t, towards)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


def outward(t: Tensor, dtype: torch.dtype, sign: int) -> Tensor:
    """t in ``dtype``, rounded down (sign −1) or up (+1)."""
    if t.dtype == dtype:
        return t
    rounded = t.to(dtype)
    beyond = _NextAfter.apply(rounded, torch.tensor(sign * torch.inf, dtype=dtype, device=t.device))
    return torch.where(rounded > t if sign < 0 else rounded < t, beyond, rounded)


def summed(net: Network) -> list[int]:
    """For each node, how many roundings at most its values have met, those of all layers before it included."""
    counts = [FEW]
    for node in net.nodes():
        before = max(counts[parent] for parent in node.parents)
        own = max(terms(node.layer)) if isinstance(node.layer, Affine) else len(node.parents)
        counts.append(before + own + FEW)
    return counts


class Rounding:
    """The errors of one :class:`LinearRelaxation`, of its dtype.

    Args:
        relaxation: whose references and boxes these are.
        exact: its network in float64, in which references are computed.
    """

    def __init__(self, relaxation: LinearRelaxation, exact: Network) -> None:
        self.of, self.exact = relaxation, exact
        self.dtype = relaxation.ball.x.dtype
        self._summed = summed(relaxation.net)
        self._spread: dict[int, Tensor] = {}
        self._error: dict[int, Tensor] = {}
        self._slack: dict[int, Tensor] = {}
        self._readers = [0] * (relaxation.net.output + 1)
        for node in relaxation.net.nodes():
            for parent in node.parents:
                self._readers[parent] += 1

    def gamma(self, count: int) -> float:
        """γ_n of the relaxation's dtype."""
        return gamma(count, self.dtype)

    def spread(self, index: int) -> Tensor:
        """How far a node's values get from the reference at most, (B or 1, *shape)."""
        if index not in self._spread:
            size = self.of.reference(index).to(self.dtype).abs()
            spread = self._spread_of(index)
            self._spread[index] = spread + (spread + size) * self.gamma(FEW)
        return self._spread[index]

    def _spread_of(self, index: int) -> Tensor:
        of, reference = self.of, self.of.reference(index).to(self.dtype)
        if index in of.boxes:
            box = of.boxes[index]
            return torch.maximum(box.upper - reference, reference - box.lower).abs()
        if index == INPUT:
            return of.ball.radius if of.ball.norm == "linf" else torch.maximum(*of.ball.room)
        node = of.net.node(index)
        if isinstance(node.layer, Nonlinear):
            box = of.boxes[node.parents[0]]
            sides = node.layer(box.upper) - reference, reference - node.layer(box.lower)
            return torch.maximum(*sides).abs()
        inputs = [self.spread(parent) for parent in node.parents]
        if isinstance(node.layer, Affine):
            (forward, _) = terms(node.layer)
            return node.layer.magnitude(*inputs) * (1 + self.gamma(forward + FEW))
        return node.layer(*inputs)

    def error(self, index: int) -> Tensor:
        """e: what forms over a node are off by since the last non-linear layer, for each coefficient of size 1."""
        if index not in self._error:
            self._error[index] = self._error_of(index)
        return self._error[index]

    def _error_of(self, index: int) -> Tensor:
        of, reference = self.of, self.of.reference(index).to(self.dtype)
        if index in of.stop or index == INPUT:
            exact = index == INPUT and not of.ball.one_sided
            size = self.spread(index) if exact else self.spread(index) + reference.abs()
            return size * self.gamma(FEW)
        node = of.net.node(index)
        if isinstance(node.layer, Nonlinear):  # its own rule takes care of all that came before
            return torch.zeros_like(reference)
        return self._passed(node, [self.error(parent) for parent in node.parents])

    def _passed(self, node: Node, inputs: list[Tensor]) -> Tensor:
        """What forms over an affine layer's, a flatten's or a sum's output are off by, if those over its inputs are."""
        of = self.of
        several = FEW + sum(self._readers[parent] for parent in node.parents)
        if isinstance(node.layer, Affine):
            (parent,) = node.parents
            forward, backward = terms(node.layer)
            behind = of.reference(parent).to(self.dtype).abs()
            own = self.spread(parent) * self.gamma(backward + several)
            off = node.layer.magnitude(inputs[0] + own + behind * gamma(forward + FEW, torch.float64))
            offset = node.layer.offset()
            off = off * (1 + self.gamma(forward + FEW))
            return off if offset is None else off + offset.abs() * gamma(FEW, torch.float64)
        moved = [e + self.spread(p) * self.gamma(several) for e, p in zip(inputs, node.parents, strict=True)]
        total = node.layer(*moved)
        if not isinstance(node.layer, Sum):
            return total
        sizes = node.layer(*(of.reference(parent).to(self.dtype).abs() for parent in node.parents))
        return (total + sizes * gamma(several, torch.float64)) * (1 + self.gamma(several))

    def slack(self, index: int) -> Tensor:
        """An estimate of the room for rounding in a node's bounds, seldom less than half of it: (B, *shape).

        Nothing sound rests on it: it says which bounds may be equal but for that room.
        """
        if index not in self._slack:
            node = None if index == INPUT or index in self.of.stop else self.of.net.node(index)
            if node is None:
                passed = self.error(index)
            elif isinstance(node.layer, Nonlinear):
                (parent,) = node.parents
                box = self.of.boxes[parent]
                size = torch.maximum(box.lower.abs(), box.upper.abs())
                passed = node.layer(self.slack(parent).expand_as(size)) + node.layer(size) * self._lines(node)
            else:
                passed = self._passed(node, [self.slack(parent) for parent in node.parents])
            spread, size = self.spread(index), self.of.reference(index).to(self.dtype).abs()
            sums = spread * self.gamma(self._summed[index]) + size * gamma(self._summed[index], torch.float64)
            self._slack[index] = passed + sums + (spread + size) * self.gamma(2 * FEW)
        return self._slack[index]

    def _lines(self, node: Node) -> float:
        """The error of a non-linear layer's slopes and intercepts, for values of size 1."""
        entries = node.layer.kernel[0] * node.layer.kernel[1] if isinstance(node.layer, MaxPool) else 1
        return self.gamma(4 * FEW + 2 * FEW * entries)

    def opened(self, node: Node | None, box: Box) -> Box:
        """A box that intervals gave, with room for their errors; ``node`` None for the input's."""
        size = box.center.abs() + box.radius
        if node is not None and isinstance(node.layer, Affine):
            (forward, _), (parent,) = terms(node.layer), node.parents
            below = self.of.ranges[parent]
            size = size + node.layer.magnitude(below.center.abs() + below.radius)
            return Box(box.center, box.radius + size * self.gamma(forward + FEW))
        if node is not None and isinstance(node.layer, Nonlinear):  # its lines' slopes and intercepts are rounded, too
            entries = node.layer.kernel[0] * node.layer.kernel[1] if isinstance(node.layer, MaxPool) else 1
            inputs = self.of.boxes[node.parents[0]]
            size = size + node.layer(inputs.center.abs() + inputs.radius) * 2 * entries
        return Box(box.center, box.radius + size * self.gamma(4 * FEW))

    def gap(self, node: Node, gap: Tensor, slope: Tensor, chain: int) -> Tensor:
        """A non-linear layer's gap with all errors in it: of its lines, of the layers behind, of the sum it goes into.

        Args:
            gap: half the distance of the lines at the reference.
            slope: the larger one of each pair of slopes.
            chain: how many numbers the coefficients' products with the gap are added up from.
        """
        (parent,) = node.parents
        box, reference = self.of.boxes[parent], self.of.reference(parent).to(self.dtype)
        size = torch.maximum(torch.maximum(box.lower.abs(), box.upper.abs()), reference.abs())
        entries = node.layer.kernel[0] * node.layer.kernel[1] if isinstance(node.layer, MaxPool) else 1
        off = self.error(parent)
        if isinstance(node.layer, MaxPool):
            off = (slope * node.layer.windows(off.expand_as(size), 0.0)).sum(-1)
            size = node.layer(size)
        else:
            off = slope * off
        constant = (slope == 0).all(-1) if isinstance(node.layer, MaxPool) else slope == 0
        # Behind a dead ReLU the value itself is known, without an error; but a bound that is no number knows nothing.
        known = constant & (gap == 0) & size.isfinite()
        total = gap + off * (1 + self.gamma(entries + FEW)) + size * self._lines(node)
        return torch.where(known, 0.0, total + total.abs() * (2 * self.gamma(chain + FEW)))

    def box(self, lower: Tensor, upper: Tensor) -> Box:
        """The box of two bounds, which it holds as a centre and a radius, with room for the errors of these."""
        slack = torch.maximum(lower.abs(), upper.abs()) * self.gamma(FEW)
        return Box.between(lower - slack, upper + slack)
