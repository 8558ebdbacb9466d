"""IBP as a certifier: interval bounds of the last hidden layer, then the margins' own rows (§2.3)."""

from __future__ import annotations

from torch import Tensor

from dmcore.certifiers.certifier import Certifier
from dmcore.crown.backward import substitute
from dmcore.crown.bounds import nonlinear_nodes
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.domains.rounding import rounded_bounds
from dmcore.linear.dense import Dense
from dmcore.nets.network import Network
from dmcore.perturbation import Ball, Box
from dmcore.registries import certifier


@certifier("ibp")
class IBP(Certifier):
    """The rows substituted back through the last affine layers, and no further."""

    LABEL = "IBP"

    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        exact = self.exact(net, ball)
        nonlinear = nonlinear_nodes(net)
        boxes = {index: Box.between(*sides) for index, sides in rounded_bounds(exact, ball, nonlinear).items()}
        relaxed = RelaxedNetwork(net, ball, "zero", boxes, stop=nonlinear, exact=exact)
        return substitute(relaxed, net.output, rows, upper=False)[0]
