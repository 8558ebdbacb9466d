"""The norms that a perturbation can be measured in (§2.3, appendix H.1). Needs no torch."""

from __future__ import annotations

from dmcore.errors import UserError, nearest

NORMS = ("linf", "l2", "l1", "l0")


def check_norm(norm: str) -> None:
    """Refuses an unknown norm."""
    if norm not in NORMS:
        raise UserError(f"unknown norm '{norm}': {nearest(norm, NORMS)}")


def check_radius(norm: str, eps: float) -> None:
    """Refuses an unknown norm, and under ℓ0 an ε that is no whole number.

    Under ℓ0 ε counts changed inputs, one channel of one pixel each. Only a training's ramp passes through fractions.
    """
    check_norm(norm)
    if norm == "l0" and not float(eps).is_integer():
        raise UserError(f"under the norm l0 eps counts changed inputs: a whole number, not {eps:g}")
