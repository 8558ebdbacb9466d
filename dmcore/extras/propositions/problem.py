"""The trained net and the points over which L and all R are means, as functions of one vector of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

from dmcore.nets import Network
from dmcore.regularizers import Batch

Term = Callable[[Batch], Tensor]
"""A scalar that is a mean over the batch's points, or does not depend on them: L, or an R."""

Product = Callable[[Tensor, Tensor, Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]]
"""A curvature of the base loss L, cross-entropy, at θ̂, times a vector: never a matrix.

It is a symmetric matrix (P, P), a mean over some points with logits z (B, K) and labels y (B,), times ``along``, a
vector in the shapes of the weights.
"""


def hessian(z: Tensor, y: Tensor, weights: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
    """∇²L, the H of the propositions.

    It is indefinite unless θ̂ is a minimum, which a net after a usual training need not be.
    """
    gradient = grad(F.cross_entropy(z, y), weights, create_graph=True)
    return grad(gradient, weights, along, materialize_grads=True)


def gauss_newton(z: Tensor, y: Tensor, weights: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
    """E Jᵀ S J with J = ∂z/∂θ and S = diag(p) − ppᵀ, p = softmax(z): ∇²L as if the logits were linear in θ.

    It is never indefinite, so that ‖·‖ is a norm for any γ > 0. ∇²L has E Σ_j (p_j − 1[j = y]) ∇²z_j in addition, which
    is small where the net is confident and right.
    """
    dual = torch.zeros_like(z, requires_grad=True)
    pulled_back = grad(z, weights, dual, create_graph=True)  # Jᵀ dual, linear in dual: its derivative along v is Jv
    (moved,) = grad(pulled_back, dual, along)
    p = z.detach().softmax(1)
    return grad(z, weights, p * (moved - (p * moved).sum(1, keepdim=True)) / len(z))


CURVATURES: dict[str, Product] = {"gauss_newton": gauss_newton, "hessian": hessian}


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
            total += flat(grad(part, self.weights, materialize_grads=True))
            value += part.item()
        return value, total

    def multiply(self, curvature: Product, v: Tensor) -> Tensor:
        """The product of one of ``CURVATURES`` with v (P,)."""
        weights = self.weights
        along = [piece.view_as(p) for piece, p in zip(v.split([p.numel() for p in weights]), weights, strict=True)]
        total = torch.zeros_like(v)
        for share, x, y in self.parts():
            total += share * flat(curvature(self.net(x), y, weights, along))
        return total


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """Weights, or what has their shapes, as one vector (P,)."""
    return torch.cat([t.reshape(-1) for t in tensors])
