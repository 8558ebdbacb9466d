"""What a certifier is."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Hashable

import torch
from torch import Tensor

from dmcore.crown.bounds import relaxed_network
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.linear.dense import Dense
from dmcore.linear.relaxations import Slope
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
        self._fitting: dict[Hashable, int] = {}  # kept from batch to batch, as is the network in float64
        self._exact: tuple[Network, Network] | None = None

    @abstractmethod
    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        """Lower bounds (B, R) over ``ball`` of the linear forms ``rows`` of the logits."""

    def relaxed(self, net: Network, ball: Ball, slope: Slope) -> RelaxedNetwork:
        """CNN-Cert's linear relaxation with all hidden layers bounded, as the option ``intersect_ibp`` says."""
        return relaxed_network(
            net,
            ball,
            slope,
            unstable_only=True,
            intersect_ibp=self.intersect_ibp,
            exact=self.exact(net, ball),
            fitting=self._fitting,
        )

    def exact(self, net: Network, ball: Ball) -> Network:
        """``net`` in float64, for references that are all but exact."""
        if ball.x.dtype == torch.float64:
            return net
        if self._exact is None or self._exact[0] is not net:
            self._exact = (net, copy.deepcopy(net).double())
        return self._exact[1]
