"""What a certifier is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from dmcore.domains import Ball
from dmcore.domains.linear_relaxation.coefficients import Dense
from dmcore.nets.network import Network


class Certifier(ABC):
    """A sound lower bound of linear forms of the logits over a ball."""

    LABEL = ""
    """The name in tables."""

    @abstractmethod
    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        """Lower bounds (B, R) over ``ball`` of the linear forms ``rows`` of the logits."""
