"""The exact answer for small networks, by mixed-integer programming (Tjeng et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.certifiers.certifier import Certifier
from dmcore.extras.exact.margins import minima
from dmcore.linear.dense import Dense
from dmcore.nets.network import Network
from dmcore.perturbation import Ball
from dmcore.registries import certifier


@certifier("milp")
class Milp(Certifier):
    """The minimum itself, proved by HiGHS; where that takes too long, what was proved by then. Not for the norm ℓ2."""

    LABEL = "MILP"

    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        bound = minima(net, ball, rows).lower
        rounded = bound.to(ball.x.dtype)
        below = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
        return torch.where(rounded.double() > bound, below, rounded)
