"""Rank regularisers by how near their gradients are to a target's (Appendix F), from inner products alone.

They are those of the metric (H + γI)⁻¹, for which one system (H + γI)x = b is solved for each gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dmcore.errors import UserError
from dmcore.progress import progress

BASE = "the base loss"


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


@dataclass(frozen=True)
class Comparison:
    """R₁ against R₂, in the metric ⟨a, b⟩ = aᵀ(H + γI)⁻¹b.

    Attributes:
        own: ⟨∇R₁, ∇R₁⟩.
        cross: ⟨∇R₁, ∇R₂⟩.
        target: ⟨∇R₂, ∇R₂⟩ > 0.
    """

    own: float
    cross: float
    target: float

    @property
    def distance(self) -> float:
        """‖∇R₁ − ∇R₂‖, by which the paper selects."""
        return math.sqrt(max(self.own - 2 * self.cross + self.target, 0.0))

    @property
    def relative_distance(self) -> float:
        """‖∇R₁ − ∇R₂‖ / ‖∇R₂‖; below 1 where R₁ helps."""
        return self.distance / math.sqrt(self.target)

    @property
    def gain(self) -> float:
        """‖∇R₂‖² − ‖∇R₁ − ∇R₂‖²: L + λR₂ falls by ½λ² times this where θ̂ gives way to the minimum of L + λR₁."""
        return 2 * self.cross - self.own

    @property
    def helps(self) -> bool:
        """Proposition 2's criterion."""
        return self.gain > 0

    @property
    def cosine(self) -> float | None:
        """Of the angle between the gradients; None where ∇R₁ = 0."""
        return self.cross / math.sqrt(self.own * self.target) if self.own > 0 else None

    @property
    def best_scale(self) -> float:
        """The c ≥ 0 for which cR₁ is nearest to R₂. cR₁ helps exactly for 0 < c < twice this."""
        return max(self.cross / self.own, 0.0) if self.own > 0 else 0.0

    @property
    def distance_at_best_scale(self) -> float:
        """min over c ≥ 0 of ‖c∇R₁ − ∇R₂‖ / ‖∇R₂‖: the sine of the angle, 1 where no c helps."""
        cosine = max(self.cosine or 0.0, 0.0)
        return math.sqrt(max(1 - cosine**2, 0.0))

    @property
    def target_change(self) -> float:
        """dR₂/dλ along the minima of L + λR₁, at λ = 0."""
        return -self.cross


@dataclass(frozen=True)
class Ranked:
    """One regulariser's place: the comparison with the target, and how well its system was solved."""

    name: str
    comparison: Comparison
    steps: int
    residual: float


@dataclass(frozen=True)
class Ranking:
    """All of them, the nearest to the target first.

    Attributes:
        target_norm: ‖∇R₂‖.
        base_norm: ‖∇L‖, which would be 0 at a minimum.
    """

    damping: float
    rows: list[Ranked]
    target_norm: float
    base_norm: float


def rank(
    curvature: Callable[[Tensor], Tensor],
    gradients: Mapping[str, Tensor],
    target: str,
    damping: float,
    tolerance: float = 1e-3,
    max_steps: int = 200,
) -> Ranking:
    """Solves one system for each gradient and compares them all with the target's.

    Args:
        curvature: v to Hv.
        gradients: (P,) by name: ∇R of all regularisers, the target's among them, and ∇L as ``BASE``. Two more vectors
            of this size are kept for each.
        damping, tolerance, max_steps: of :func:`conjugate_gradients`.

    Raises:
        UserError: a direction of negative curvature; a target without a gradient.
    """
    solved = {
        name: conjugate_gradients(curvature, gradients[name], damping, tolerance, max_steps)
        for name in progress(gradients, len(gradients), f"solving at damping {damping:g}")
    }
    products = inner_products(list(solved.values()))
    at = {name: i for i, name in enumerate(solved)}

    def inner(one: str, other: str) -> float:
        return products[at[one]][at[other]]

    size = inner(target, target)
    if not size > 0:
        raise UserError(f"the target '{target}' has no gradient here: nothing can be near to it")
    rows = [
        Ranked(name, Comparison(inner(name, name), inner(name, target), size), s.steps, s.relative_residual)
        for name, s in solved.items()
        if name != BASE
    ]
    rows.sort(key=lambda row: row.comparison.distance)
    return Ranking(damping, rows, math.sqrt(size), math.sqrt(max(inner(BASE, BASE), 0.0)))
