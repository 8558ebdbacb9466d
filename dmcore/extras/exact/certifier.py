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
    """The minimum itself, proved by HiGHS; where that takes too long, what was proved by then. Not for the norm ℓ2.

    Args:
        time_limit: seconds of a point; by default only each margin's solve has limits.
    """

    LABEL = "MILP"

    def __init__(self, intersect_ibp: bool = False, time_limit: float | None = None) -> None:
        super().__init__(intersect_ibp)
        self.time_limit = time_limit

    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        limit = self.time_limit
        found = minima(net, ball, rows) if limit is None else minima(net, ball, rows, limit, point_limit=limit)
        bound = found.lower
        rounded = bound.to(ball.x.dtype)
        below = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
        return torch.where(rounded.double() > bound, below, rounded)
