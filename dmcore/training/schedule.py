"""How λ, ε and the learning rate move over the steps of a run (§3.2 "Training Procedure")."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Piecewise linear λ and ε: 0 in the warm-up, a linear ramp, then constant; a learning rate that drops tenfold.

    Attributes:
        steps: the whole run's.
        warmup, ramp: steps of the two first phases.
        lr: the first learning rate; divided by 10 at each step in ``lr_drops``.
    """

    steps: int
    warmup: int
    ramp: int
    lr: float
    lr_drops: tuple[int, ...] = ()

    def ramp_factor(self, step: int) -> float:
        """The share of the final λ and ε in force at ``step`` (0-based), in [0, 1]."""
        if step < self.warmup:
            return 0.0
        return min((step - self.warmup + 1) / max(self.ramp, 1), 1.0)

    def learning_rate(self, step: int) -> float:
        """The learning rate at ``step``."""
        return self.lr / 10 ** sum(step >= drop for drop in self.lr_drops)
