"""How λ, ε and the learning rate move over the steps of a run (§3.2 "Training Procedure")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """λ and ε: 0 in the warm-up, then a ramp, then constant; a learning rate that drops.

    Attributes:
        steps: the whole run's.
        warmup, ramp: steps of the two first phases.
        lr: the first learning rate; divided by ``lr_divisor`` at each step in ``lr_drops``.
        ramp_shape: ``linear``, or ``smooth`` as in today's certified training: τ⁴ up to a quarter of the ramp, where
            that is 1/13, then a line of the same slope.
    """

    steps: int
    warmup: int
    ramp: int
    lr: float
    lr_drops: tuple[int, ...] = ()
    lr_divisor: float = 10.0
    ramp_shape: str = "linear"

    def ramp_factor(self, step: int) -> float:
        """The share of the final λ and ε in force at ``step`` (0-based), in [0, 1]."""
        if step < self.warmup:
            return 0.0
        share = min((step - self.warmup + 1) / max(self.ramp, 1), 1.0)
        if self.ramp_shape == "linear":
            return share
        return (4 * share) ** 4 / 13 if share <= 0.25 else (16 * share - 3) / 13

    def learning_rate(self, step: int) -> float:
        """The learning rate at ``step``."""
        return self.lr / self.lr_divisor ** sum(step >= drop for drop in self.lr_drops)
