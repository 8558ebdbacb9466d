"""A network whose non-linear layers are replaced by linear bounds, over a ball."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dmcore.crown.once import once
from dmcore.crown.rounding import RoundingErrors, outward_interval
from dmcore.linear.concretize import Region, pivot
from dmcore.linear.intervals import image
from dmcore.linear.relaxations import Relaxation, Slope, relaxation_of, relu_relaxation
from dmcore.nets.layers import Nonlinear, ReLU
from dmcore.nets.network import INPUT, Network
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box

Slopes = dict[int, Tensor]
"""Slopes of lower bounds by the ReLU's node, each (B, *shape)."""


@dataclass
class RelaxedNetwork:
    """What is known of each node before anything is substituted back; each value is worked out once.

    Attributes:
        slope: of unstable ReLUs' lower bounds: that of one of CNN-Cert's variants, or α by node for α-CROWN's ``α z``
            (Xu et al. 2021, §3.2), sound for any α in [0, 1]; all else is CNN-Cert-Ada's then.
        boxes: bounds of nodes. The inputs of non-linear layers must be there before anything behind them is bounded.
        stop: nodes at whose box a substitution ends; the input's ball always ends it.
        exact: the network in float64. With it references are computed in float64, and all bounds are rounded outward
            (docs/soundness.md): they hold for real numbers. Not for training: it holds up gradients.
        interval_step: the same network, to be substituted back to the last non-linear layers alone: each bound is then
            the better of the two (the option ``intersect_ibp``, beyond the paper).
        fitting: how many rows of a node fit into memory at once, as :func:`map_chunks` keeps it.
    """

    net: Network
    ball: Ball
    slope: Slope | Slopes
    boxes: dict[int, Box] = field(default_factory=dict)
    stop: frozenset[int] = frozenset()
    exact: Network | None = None
    interval_step: RelaxedNetwork | None = None
    fitting: dict[Hashable, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shapes = self.net.shapes(self.ball.x)
        self.errors: RoundingErrors | None = None
        if self.exact is not None:
            self.errors = RoundingErrors(self.net, self.ball, self.boxes, self.stop, self.reference)

    def region(self, index: int) -> Region:
        """Where a substitution ends: the input's ball, or the box of a node in ``stop``."""
        return self.boxes[index] if index in self.stop else self.ball

    @once
    def reference(self, index: int) -> Tensor:
        """ẑ, the value of node ``index`` from which its deviations are counted: (B, *shape)."""
        if index in self.stop or index == INPUT:
            start = pivot(self.region(index))
            return start if self.exact is None else start.double()
        node = (self.exact or self.net).node(index)
        inputs = [self.reference(parent) for parent in node.parents]
        if isinstance(node.layer, Nonlinear):
            return self.relaxation(index).middle(*inputs)
        value: Tensor = node.layer(*inputs)
        return value

    @once
    def relaxation(self, index: int) -> Relaxation:
        """The linear bounds of node ``index``'s non-linear layer over its input's box."""
        node, slope = self.net.node(index), self.slope
        (parent,) = node.parents
        lower, upper = self.boxes[parent].lower, self.boxes[parent].upper
        if not isinstance(slope, str):
            if index in slope:
                chord = relu_relaxation(lower, upper, "relu")
                own = torch.where((lower < 0) & (upper > 0), slope[index], chord.lower_slope)
                return Relaxation(own, chord.upper_slope, None, chord.upper_intercept)
            slope = "ada"
        ties = slope == "zero" or not isinstance(node.layer, ReLU)
        slack = 2 * self.errors.slack(parent) if ties and self.errors is not None else 0.0
        return relaxation_of(node.layer, lower, upper, slope, slack)

    @once
    def gap(self, index: int, summation_length: int) -> Tensor:
        """Half the distance of a non-linear layer's linear bounds at the reference, (B, *shape).

        With rounding, the errors of sums of ``summation_length`` numbers are in it.
        """
        node, relaxation = self.net.node(index), self.relaxation(index)
        gap = relaxation.gap(self.reference(node.parents[0]))
        if self.errors is None:
            return gap
        slope = relaxation.slope
        if not relaxation.parallel:
            slope = torch.maximum(relaxation.lower_slope, relaxation.upper_slope)
        return self.errors.gap(node, gap.to(slope.dtype), slope, summation_length)

    @once
    def interval(self, index: int) -> Box:
        """A node's range by intervals, from those behind the last non-linear layers, or from the ball.

        It is never inside the box of full substitution, whatever the slopes: with linear bounds of σ on boxes that the
        same substitution gave, the bound of a sum of forms is at least the sum of their bounds. (A ReLU turns the
        coefficients a + b into a⁺ + b⁺ − δ times the lower slope and a⁻ + b⁻ + δ times the upper one, δ ≥ 0, so what is
        gained is δ times the distance of the two, whose own bound is that at an end of the box, ≥ 0.) So a sign that
        this range tells is the one that the full substitution would find.
        """
        layer, inputs = None, []
        if index == INPUT:
            box = Box(self.ball.center, self.ball.radius)
        else:
            node = self.net.node(index)
            layer = node.layer
            if isinstance(layer, Nonlinear):
                inputs = [self.boxes[parent] for parent in node.parents]
                box = self.relaxation(index).range(*inputs)
            else:
                inputs = [self.interval(parent) for parent in node.parents]
                box = image(layer, *inputs)
        return box if self.errors is None else outward_interval(layer, box, inputs)
