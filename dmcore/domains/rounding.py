"""Interval bounds that hold for real numbers, rounded outward, and what underflow can do to a bound of any kind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from dmcore.domains.domain import Domain
from dmcore.domains.interval import Interval
from dmcore.linear.rounding import EXTRA_ROUNDINGS, gamma, operations, outward, roundings
from dmcore.nets.layers import Affine, Flatten, MaxPool, ReLU, Sum
from dmcore.nets.network import INPUT, Network, Node
from dmcore.perturbation.ball import Ball


class Magnitude(Domain):
    """``m ← |W| m + |b|``: a bound on every partial sum, in whatever order it is added up.

    Adding n terms in floating point errs by at most about n · u · m, with u the unit roundoff.
    """

    def start(self, ball: Ball) -> Tensor:
        return ball.center.abs() + ball.radius


@Magnitude.passes(Affine)
def _affine(domain: Magnitude, layer: Affine, m: Tensor) -> Tensor:
    offset = layer.offset()
    return layer.magnitude(m) if offset is None else layer.magnitude(m) + offset.abs()


@Magnitude.passes(ReLU, MaxPool, Flatten, Sum)
def _same(domain: Magnitude, layer: ReLU | MaxPool | Flatten | Sum, *ms: Tensor) -> Tensor:
    return layer(*ms)


def interval_errors(net: Network, ball: Ball) -> list[Tensor]:
    """How far interval bounds of each node may be off, computed in the dtype of ``ball.x``: (B, *shape).

    Each layer's sums err by γ of the sizes of what they add up, and its errors pass on like the sizes themselves.
    """
    sizes = Magnitude().states(net, ball)
    return [size * (2 * gamma(count, ball.x.dtype)) for size, count in zip(sizes, roundings(net), strict=True)]


@torch.no_grad()
def rounded_bounds(exact: Network, ball: Ball, nodes: Collection[int]) -> dict[int, tuple[Tensor, Tensor]]:
    """(lower, upper) interval bounds of some nodes, in the dtype of ``ball.x``, rounded outward by all errors.

    Args:
        exact: the network in float64, in which they are computed.
    """
    wide = replace(ball, x=ball.x.double())
    lost = underflow(exact, wide, nodes, rows=1.0, dtype=ball.x.dtype)
    states, errors = Interval().states(exact, wide), [error + lost for error in interval_errors(exact, wide)]
    return {
        index: (
            outward(states[index].lower - errors[index], ball.x.dtype, -1),
            outward(states[index].upper + errors[index], ball.x.dtype, +1),
        )
        for index in nodes
    }


@torch.no_grad()
def underflow(net: Network, ball: Ball, at: Collection[int], rows: float, dtype: torch.dtype | None = None) -> float:
    """How far bounds of linear forms of some nodes may be off as small numbers are rounded to 0, or taken for 0.

    Far below all else, unless a network multiplies what has vanished by a huge weight. A few numbers a layer, all of
    them generous: m bounds its values, c the sizes of a form's coefficients over it, n counts what is added up.

    Args:
        at: the nodes.
        rows: the sum of the sizes of a form's coefficients at most.
        dtype: the narrowest in which numbers were; by default that of ``ball.x``.
    """
    shapes, nodes = net.shapes(ball.x), list(net.nodes())
    norms = {node.index: _norm(node, ball, shapes[node.parents[0]]) for node in nodes}
    largest = float(ball.x.abs().max()) if len(ball.x) else 0.0
    m = [largest + max(map(abs, ball.input_range)) if ball.norm == "l0" else largest + ball.largest_eps]
    for node in nodes:
        inputs = sum(m[parent] for parent in node.parents)
        offset = node.layer.offset() if isinstance(node.layer, Affine) else None
        m.append(norms[node.index] * inputs + (0.0 if offset is None else float(offset.abs().max())))
    c = [rows * (index in at) for index in range(len(m))]
    for node in reversed(nodes):
        for parent in node.parents:
            c[parent] += norms[node.index] * c[node.index]
    off = 0.0
    for index, shape in enumerate(shapes):
        n = EXTRA_ROUNDINGS if index == INPUT else EXTRA_ROUNDINGS + operations(net.node(index))
        norm = 1.0 if index == INPUT else norms[index]
        off += n * (1 + c[index]) * (1 + norm) * (1 + torch.Size(shape).numel() * (1 + m[index]))
    return 4 * off * torch.finfo(dtype or ball.x.dtype).tiny


def _norm(node: Node, ball: Ball, in_shape: tuple[int, ...]) -> float:
    """How far a layer's output, or a linear bound of it, moves at most where no input moves by more than 1."""
    if isinstance(node.layer, Affine):
        return float(node.layer.magnitude(torch.ones(1, *in_shape, dtype=ball.x.dtype, device=ball.x.device)).max())
    if isinstance(node.layer, MaxPool):
        return 2.0 * node.layer.kernel[0] * node.layer.kernel[1]
    return node.layer.scale if isinstance(node.layer, Sum) else 1.0
