"""Bounds of what every ReLU and max-pool reads: the tightest that the relaxations give together."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.crown.backward import substitute
from dmcore.crown.bounds import intersection, node_box
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.crown.relaxers import fixed_slope
from dmcore.domains import Interval
from dmcore.linear.dense import Dense
from dmcore.linear.relaxations import SLOPES
from dmcore.nets.layers import Nonlinear
from dmcore.nets.network import Network
from dmcore.perturbation import Ball, Box


class Relaxations:
    """Intervals and the linear relaxations of all slopes, each using what the others know of the layers before.

    Attributes:
        boxes: by node, for the input of every non-linear layer.
    """

    def __init__(self, net: Network, ball: Ball) -> None:
        self.net, self.boxes = net, dict[int, Box]()
        self._linear = [RelaxedNetwork(net, ball, fixed_slope(slope), self.boxes) for slope in SLOPES]
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
