"""The trained net and the points over which L and all R are means, as functions of one vector of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dmcore.extras.propositions.curvature import Product
from dmcore.nets import Network
from dmcore.regularizers import Batch

Term = Callable[[Batch], Tensor]
"""A scalar that is a mean over the batch's points, or does not depend on them: L, or an R."""


@dataclass(frozen=True)
class Problem:
    """θ̂, the weights of ``net``, and the N points of L and R.

    Attributes:
        x: (N, C, H, W), pixels in [0, 1], of the net's dtype and on its device.
        y: labels (N,).
        points_at_once: how many are in memory together. The sums are the same, but for rounding and for terms that
            draw random numbers.
    """

    net: Network
    x: Tensor
    y: Tensor
    points_at_once: int = 100

    @property
    def weights(self) -> list[Tensor]:
        """All that is trained; their entries in this order are θ, a vector (P,)."""
        return list(self.net.parameters())

    def parts(self) -> Iterator[tuple[float, Tensor, Tensor]]:
        """(share, x, y) of the points that are taken together; the shares add up to 1."""
        for x, y in zip(self.x.split(self.points_at_once), self.y.split(self.points_at_once), strict=True):
            yield len(x) / len(self.x), x, y

    def gradient(self, term: Term, eps: float = 0.0, seed: int = 0) -> tuple[float, Tensor]:
        """The term's value and its gradient (P,) with respect to all weights.

        Args:
            eps: radius ε of the batches.
            seed: of the batches' random numbers; the same seed gives the same result.
        """
        generator = torch.Generator(self.x.device).manual_seed(seed)
        value, total = 0.0, torch.zeros_like(flat(self.weights).detach())
        for share, x, y in self.parts():
            part = term(Batch(self.net, x, y, eps, generator)) * share
            total += flat(torch.autograd.grad(part, self.weights, materialize_grads=True))
            value += part.item()
        return value, total

    def multiply(self, curvature: Product, v: Tensor) -> Tensor:
        """The product of one of :mod:`dmcore.extras.propositions.curvature` with v (P,)."""
        weights = self.weights
        along = [piece.view_as(p) for piece, p in zip(v.split([p.numel() for p in weights]), weights, strict=True)]
        total = torch.zeros_like(v)
        for share, x, y in self.parts():
            total += share * flat(curvature(self.net(x), y, weights, along))
        return total


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """Weights, or what has their shapes, as one vector (P,)."""
    return torch.cat([t.reshape(-1) for t in tensors])
