"""What numbers below the smallest normal one can do to a bound (docs/soundness.md, Underflow)."""

from __future__ import annotations

from collections.abc import Collection

import torch

from dmcore.linear.rounding import EXTRA_ROUNDINGS, terms
from dmcore.nets.layers import Affine, MaxPool, Sum
from dmcore.nets.network import INPUT, Network, Node
from dmcore.perturbation.ball import Ball


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
        n = EXTRA_ROUNDINGS if index == INPUT else EXTRA_ROUNDINGS + max(_terms(net.node(index)))
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


def _terms(node: Node) -> tuple[int, int]:
    return terms(node.layer) if isinstance(node.layer, Affine) else (len(node.parents), 1)
