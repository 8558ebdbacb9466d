"""What a certifier is."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from dmcore.crown.backward import LinearRelaxation
from dmcore.crown.intersected import Intersected
from dmcore.crown.relaxations import Slope
from dmcore.linear.coefficients import Dense
from dmcore.nets.network import Network
from dmcore.perturbation import Ball


class Certifier(ABC):
    """A sound lower bound of linear forms of the logits over a ball.

    Args:
        intersect_ibp: let no bound of a linear relaxation leave the interval bounds.
    """

    LABEL = ""
    """The name in tables."""
    NEVER_BELOW: tuple[str, ...] = ()
    """Faster certifiers, none of whose bounds is above this one's: what they certify need not be bounded again."""

    def __init__(self, intersect_ibp: bool = False) -> None:
        self.intersect_ibp = intersect_ibp
        self._sizes: dict[tuple[int, str], int] = {}  # kept from batch to batch, as is the network in float64
        self._exact: tuple[Network, Network] | None = None

    @abstractmethod
    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        """Lower bounds (B, R) over ``ball`` of the linear forms ``rows`` of the logits."""

    def relaxation(self, net: Network, ball: Ball, slope: Slope) -> LinearRelaxation:
        """CNN-Cert's linear relaxation with all hidden layers bounded, as the option ``intersect_ibp`` says."""
        kind = Intersected if self.intersect_ibp else LinearRelaxation
        exact = self.exact(net, ball)
        return kind(net, ball, slope, signs_only=True, exact=exact, sizes=self._sizes).bound_hidden()

    def exact(self, net: Network, ball: Ball) -> Network:
        """``net`` in float64, for references that are all but exact."""
        if ball.x.dtype == torch.float64:
            return net
        if self._exact is None or self._exact[0] is not net:
            self._exact = (net, copy.deepcopy(net).double())
        return self._exact[1]
