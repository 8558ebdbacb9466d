"""What the propositions say of a regulariser R₁ and a target R₂, from three inner products of their gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
