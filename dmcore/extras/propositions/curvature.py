"""The curvature of the base loss L, cross-entropy, at θ̂: products with a vector, never a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

from dmcore.extras.propositions.problem import Problem, flat


@dataclass(frozen=True)
class Curvature(ABC):
    """A symmetric matrix (P, P) that is a mean over the problem's points."""

    problem: Problem

    def __call__(self, v: Tensor) -> Tensor:
        """The product with v (P,), a few points at a time."""
        weights = self.problem.weights
        along = [piece.view_as(p) for piece, p in zip(v.split([p.numel() for p in weights]), weights, strict=True)]
        total = torch.zeros_like(v)
        for share, x, y in self.problem.parts():
            total += share * flat(self.product(self.problem.net(x), y, weights, along))
        return total

    @abstractmethod
    def product(self, z: Tensor, y: Tensor, weights: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
        """The product for some points, with logits z (B, K) and labels y (B,)."""


class Hessian(Curvature):
    """∇²L, the H of the propositions.

    It is indefinite unless θ̂ is a minimum, which a net after a usual training need not be.
    """

    def product(self, z: Tensor, y: Tensor, weights: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
        gradient = grad(F.cross_entropy(z, y), weights, create_graph=True)
        return grad(gradient, weights, along, materialize_grads=True)


class GaussNewton(Curvature):
    """E Jᵀ S J with J = ∂z/∂θ and S = diag(p) − ppᵀ, p = softmax(z): ∇²L as if the logits were linear in θ.

    It is never indefinite, so that ‖·‖ is a norm for any γ > 0. ∇²L has E Σ_j (p_j − 1[j = y]) ∇²z_j in addition, which
    is small where the net is confident and right.
    """

    def product(self, z: Tensor, y: Tensor, weights: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
        dual = torch.zeros_like(z, requires_grad=True)
        pulled_back = grad(z, weights, dual, create_graph=True)  # Jᵀ dual, linear in dual: its derivative along v is Jv
        (moved,) = grad(pulled_back, dual, along)
        p = z.detach().softmax(1)
        return grad(z, weights, p * (moved - (p * moved).sum(1, keepdim=True)) / len(z))


CURVATURES: dict[str, type[Curvature]] = {"gauss_newton": GaussNewton, "hessian": Hessian}
