"""Relaxers: how each non-linear layer is bounded by linear functions, given the box of its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dmcore.linear.relaxations import Relaxation, Slope, relaxation_of, relu_relaxation
from dmcore.nets.layers import ReLU
from dmcore.nets.network import Network, Node
from dmcore.perturbation.box import Box

Slack = Callable[[], Tensor | float]
"""How far each bound of a box may be off for rounding's sake, (B, *shape); worked out when called."""

Relaxer = Callable[[Node, Box, Slack], Relaxation]
"""A non-linear layer and the box of its input to its linear bounds."""

Slopes = dict[int, Tensor]
"""Slopes of lower bounds by the ReLU's node, each (B, *shape)."""


def fixed_slope(slope: Slope) -> Relaxer:
    """CNN-Cert's relaxer, in one of its three variants."""

    def relax(node: Node, box: Box, slack: Slack) -> Relaxation:
        ties = slope == "zero" or not isinstance(node.layer, ReLU)
        return relaxation_of(node.layer, box.lower, box.upper, slope, slack() if ties else 0.0)

    return relax


def alpha(slopes: Slopes) -> Relaxer:
    """The relaxer of α-CROWN (Xu et al. 2021, §3.2): an unstable ReLU is above ``α z``, sound for any α in [0, 1].

    All else is CNN-Cert-Ada's.

    Args:
        slopes: α; what stands there for a stable ReLU does not count.
    """
    other = fixed_slope("ada")

    def relax(node: Node, box: Box, slack: Slack) -> Relaxation:
        if node.index not in slopes:
            return other(node, box, slack)
        chord = relu_relaxation(box.lower, box.upper, "relu")
        own = torch.where((box.lower < 0) & (box.upper > 0), slopes[node.index], chord.lower_slope)
        return Relaxation(own, chord.upper_slope, None, chord.upper_intercept)

    return relax


def relu_slopes(net: Network, boxes: Mapping[int, Box], slope: Slope) -> Slopes:
    """The slopes of the lower bounds of one of CNN-Cert's variants, of all ReLUs whose input is in ``boxes``."""
    relus = (n for n in net.nodes() if isinstance(n.layer, ReLU) and n.parents[0] in boxes)
    found = ((node.index, boxes[node.parents[0]]) for node in relus)
    return {index: relu_relaxation(box.lower, box.upper, slope).lower_slope for index, box in found}
