"""Products with the curvature of the base loss L, cross-entropy, at θ̂: never a matrix.

Each is a symmetric matrix (P, P), a mean over some points with logits z (B, K) and labels y (B,), times ``along``, a
vector in the shapes of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

Product = Callable[[Tensor, Tensor, Sequence[Tensor], Sequence[Tensor]], Sequence[Tensor]]


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
