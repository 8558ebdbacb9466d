"""IBP as a certifier: interval bounds of the last hidden layer, then the margins' own rows (§2.3)."""

from __future__ import annotations

from torch import Tensor

from dmcore.certifiers.certifier import Certifier
from dmcore.crown.backward import LinearRelaxation
from dmcore.domains.rounded import rounded_bounds
from dmcore.linear.coefficients import Dense
from dmcore.nets.layers import Nonlinear
from dmcore.nets.network import Network
from dmcore.perturbation import Ball, Box
from dmcore.registries import certifier


@certifier("ibp")
class IBP(Certifier):
    """The rows substituted back through the last affine layers, and no further."""

    LABEL = "IBP"

    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        exact = self.exact(net, ball)
        nonlinear = frozenset(node.index for node in net.nodes() if isinstance(node.layer, Nonlinear))
        boxes = {index: Box.between(*sides) for index, sides in rounded_bounds(exact, ball, nonlinear).items()}
        relaxation = LinearRelaxation(net, ball, boxes=boxes, stop=nonlinear, exact=exact)
        return relaxation.substitute(net.output, rows, upper=False)[0]
