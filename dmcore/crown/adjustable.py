"""Linear relaxation with a lower line of its own for each unstable ReLU (α-CROWN: Xu et al. 2021, §3.2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dmcore.crown.backward import LinearRelaxation
from dmcore.crown.relaxations import Lines, Slope, relu_lines
from dmcore.nets.layers import ReLU
from dmcore.nets.network import Network, Node
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box

Slopes = dict[int, Tensor]
"""Slopes of lower lines by the ReLU's node, each (B, *shape)."""


class Adjustable(LinearRelaxation):
    """An unstable ReLU has the lower line ``α z``, sound for any α in [0, 1]; all else is CNN-Cert-Ada's.

    Args:
        boxes: bounds of the inputs of all non-linear layers that are substituted through.
        slopes: α; what stands there for a stable ReLU does not count.
    """

    def __init__(
        self, net: Network, ball: Ball, boxes: Mapping[int, Box], slopes: Slopes, exact: Network | None = None
    ) -> None:
        super().__init__(net, ball, "ada", dict(boxes), exact=exact)
        self.slopes = slopes

    def lines_of(self, node: Node) -> Lines:
        if node.index not in self.slopes or node.index in self.lines:
            return super().lines_of(node)
        box = self.boxes[node.parents[0]]
        lower, upper = box.lower, box.upper
        chord = relu_lines(lower, upper, "relu")
        own = torch.where((lower < 0) & (upper > 0), self.slopes[node.index], chord.lower_slope)
        self.lines[node.index] = Lines(own, chord.upper_slope, None, chord.upper_intercept)
        return self.lines[node.index]


def relu_slopes(net: Network, boxes: Mapping[int, Box], slope: Slope) -> Slopes:
    """The lower lines' slopes of one of CNN-Cert's variants, by node, of all ReLUs whose input is bounded."""
    relus = (n for n in net.nodes() if isinstance(n.layer, ReLU) and n.parents[0] in boxes)
    found = ((node.index, boxes[node.parents[0]]) for node in relus)
    return {index: relu_lines(box.lower, box.upper, slope).lower_slope for index, box in found}
