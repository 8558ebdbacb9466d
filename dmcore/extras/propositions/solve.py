"""(H + γI)x = b by conjugate gradients, and inner products in the metric (H + γI)⁻¹."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dmcore.errors import UserError


@dataclass(frozen=True)
class Solution:
    """An approximate solution of Ax = b.

    Attributes:
        x: (P,).
        residual: b − Ax (P,), computed anew at the end, not carried along.
        steps: the products with A that led to x.
    """

    b: Tensor
    x: Tensor
    residual: Tensor
    steps: int

    @property
    def relative_residual(self) -> float:
        """‖b − Ax‖₂ / ‖b‖₂; 0 for b = 0."""
        size = self.b.norm()
        return (self.residual.norm() / size).item() if size > 0 else 0.0


def conjugate_gradients(
    multiply: Callable[[Tensor], Tensor], b: Tensor, damping: float, tolerance: float = 1e-3, max_steps: int = 200
) -> Solution:
    """Solves (H + γI)x = b from x = 0, until ‖b − (H + γI)x‖₂ ≤ tolerance·‖b‖₂ or ``max_steps`` is reached.

    Args:
        multiply: v to Hv, for a symmetric H.
        damping: γ ≥ 0.

    Raises:
        UserError: a direction in which H + γI is not positive.
    """
    x, residual, steps = torch.zeros_like(b), b.clone(), 0
    direction, square = b.clone(), b @ b
    goal = tolerance**2 * square
    while square > goal and steps < max_steps:
        product = multiply(direction) + damping * direction
        curvature, length = direction @ product, direction @ direction
        steps += 1
        if not curvature > 0:
            raise UserError(_indefinite((curvature / length).item() - damping, damping, steps))
        stride = square / curvature
        x += stride * direction
        residual -= stride * product
        previous, square = square, residual @ residual
        direction = residual + square / previous * direction
    return Solution(b, x, b - multiply(x) - damping * x, steps)


def _indefinite(found: float, damping: float, step: int) -> str:
    return (
        f"L has curvature {found:.3g} along a direction met in step {step}; the damping {damping:g} does not make it "
        f"positive: the net is at no minimum of L; take the Gauss-Newton matrix, or a damping well above {-found:.2g}"
    )


def inner_products(solutions: Sequence[Solution]) -> list[list[float]]:
    """``[i][j]``: b_iᵀA⁻¹b_j, from approximate solutions for one A.

    b_iᵀx_j + x_iᵀ(b_j − Ax_j) misses the exact value by e_iᵀA e_j only, with e the errors of x: by the second order of
    what plain b_iᵀx_j may be off.
    """
    table = []
    for one in solutions:
        b, x = one.b.double(), one.x.double()
        table.append([(b @ other.x.double() + x @ other.residual.double()).item() for other in solutions])
    return table
