"""CNN-Cert (Boopathy et al. 2019) in the three variants of Table 12: every hidden layer bounded by substitution."""

from __future__ import annotations

from torch import Tensor

from dmcore.certifiers.certifier import Certifier
from dmcore.crown.bounds import linear_bounds
from dmcore.linear.dense import Dense
from dmcore.linear.relaxations import Slope
from dmcore.nets.network import Network
from dmcore.perturbation import Ball
from dmcore.registries import certifier


class CnnCert(Certifier):
    """Linear bounds substituted back to the input; the variants differ in an unstable ReLU's lower one (Figure 3)."""

    slope: Slope

    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        return linear_bounds(self.relaxed(net, ball, self.slope), net.output, rows, upper=False)[0]


@certifier("cnn-cert-relu")
class CnnCertRelu(CnnCert):
    """Parallel bounds, as Fast-Lin and the convex outer bounds."""

    LABEL = "CNN-Cert-ReLU"
    slope = "relu"


@certifier("cnn-cert-ada")
class CnnCertAda(CnnCert):
    """Slope 0 or 1, whichever leaves the smaller area, as CROWN and DeepPoly."""

    LABEL = "CNN-Cert-Ada"
    slope = "ada"


@certifier("cnn-cert-zero")
class CnnCertZero(CnnCert):
    """Slope 0: never below IBP."""

    LABEL = "CNN-Cert-Zero"
    slope = "zero"
