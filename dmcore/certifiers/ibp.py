"""IBP as a certifier: interval bounds of the last hidden layer, then the margins' own rows (§2.3)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from dmcore.certifiers.certifier import Certifier
from dmcore.domains import Ball, Box, Interval
from dmcore.domains.linear_relaxation import LinearRelaxation
from dmcore.domains.linear_relaxation.coefficients import Dense
from dmcore.domains.linear_relaxation.rounding import interval_errors, outward
from dmcore.layers import Nonlinear
from dmcore.nets.network import Network
from dmcore.registries import certifier


@certifier("ibp")
class IBP(Certifier):
    """The rows substituted back through the last affine layers, and no further."""

    LABEL = "IBP"

    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        exact = self.exact(net, ball)
        nonlinear = frozenset(node.index for node in net.nodes() if isinstance(node.layer, Nonlinear))
        boxes = self.boxes(exact, ball, nonlinear)
        relaxation = LinearRelaxation(net, ball, boxes=boxes, stop=nonlinear, exact=exact)
        return relaxation.substitute(net.output, rows, upper=False)[0]

    @staticmethod
    def boxes(exact: Network, ball: Ball, nodes: frozenset[int]) -> dict[int, Box]:
        """Interval bounds of some nodes, in float64 and then outwards to the ball's dtype."""
        wide = replace(ball, x=ball.x.double())
        errors = interval_errors(exact, wide)
        found = {}
        for index, box in enumerate(Interval().states(exact, wide)):
            if index in nodes:
                sides = box.lower - errors[index], box.upper + errors[index]
                found[index] = Box.between(*(outward(s, ball.x.dtype, d) for s, d in zip(sides, (-1, 1), strict=True)))
        return found
