"""A network whose non-linear layers are replaced by linear bounds, over a ball."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dmcore.crown.relaxers import Relaxer
from dmcore.crown.rounding import RoundingErrors
from dmcore.linear.concretize import Region, pivot
from dmcore.linear.relaxations import Relaxation
from dmcore.nets.layers import Nonlinear
from dmcore.nets.network import INPUT, Network, Node
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box


@dataclass
class RelaxedNetwork:
    """What is known of each node before anything is substituted back; each value is worked out once.

    Attributes:
        relaxer: gives each non-linear layer its linear bounds.
        boxes: bounds of nodes. The inputs of non-linear layers must be there before anything behind them is bounded.
        stop: nodes at whose box a substitution ends; the input's ball always ends it.
        exact: the network in float64. With it references are computed in float64, and all bounds are rounded outward
            (docs/soundness.md): they hold for real numbers. Not for training: it holds up gradients.
        interval_step: the same network, to be substituted back to the last non-linear layers alone: each bound is then
            the better of the two (the option ``intersect_ibp``, beyond the paper).
    """

    net: Network
    ball: Ball
    relaxer: Relaxer
    boxes: dict[int, Box] = field(default_factory=dict)
    stop: frozenset[int] = frozenset()
    exact: Network | None = None
    interval_step: RelaxedNetwork | None = None

    def __post_init__(self) -> None:
        self.shapes = self.net.shapes(self.ball.x)
        self.errors: RoundingErrors | None = None
        if self.exact is not None:
            self.errors = RoundingErrors(self.net, self.ball, self.boxes, self.stop, self.reference)
        self._references: dict[int, Tensor] = {}
        self._relaxations: dict[int, Relaxation] = {}
        self._gaps: dict[tuple[int, int], Tensor] = {}

    def region(self, index: int) -> Region:
        """Where a substitution ends: the input's ball, or the box of a node in ``stop``."""
        return self.boxes[index] if index in self.stop else self.ball

    def reference(self, index: int) -> Tensor:
        """ẑ, the value of node ``index`` from which its deviations are counted: (B, *shape)."""
        if index not in self._references:
            if index in self.stop or index == INPUT:
                value = pivot(self.region(index))
                value = value if self.exact is None else value.double()
            else:
                node = (self.exact or self.net).node(index)
                inputs = [self.reference(parent) for parent in node.parents]
                nonlinear = isinstance(node.layer, Nonlinear)
                value = self.relaxation(node).middle(*inputs) if nonlinear else node.layer(*inputs)
            self._references[index] = value
        return self._references[index]

    def relaxation(self, node: Node) -> Relaxation:
        """The linear bounds of a non-linear layer over its input's box."""
        if node.index not in self._relaxations:
            (parent,) = node.parents
            box, errors = self.boxes[parent], self.errors
            self._relaxations[node.index] = self.relaxer(
                node, box, lambda: 0.0 if errors is None else 2 * errors.slack(parent)
            )
        return self._relaxations[node.index]

    def gap(self, node: Node, summation_length: int) -> Tensor:
        """Half the distance of a layer's linear bounds at the reference, (B, *shape).

        With rounding, the errors of sums of ``summation_length`` numbers are in it.
        """
        at = node.index, summation_length
        if at not in self._gaps:
            relaxation = self.relaxation(node)
            gap = relaxation.gap(self.reference(node.parents[0]))
            if self.errors is not None:
                slope = relaxation.slope
                if not relaxation.parallel:
                    slope = torch.maximum(relaxation.lower_slope, relaxation.upper_slope)
                gap = self.errors.gap(node, gap.to(slope.dtype), slope, summation_length)
            self._gaps[at] = gap
        return self._gaps[at]
