"""How much room the coefficients of linear forms may take."""

from __future__ import annotations

BUDGET = 2**25  # coefficients in one tensor, above which the work is split; 128 MiB in float32


class OverBudgetError(MemoryError):
    """One tensor of coefficients would exceed the budget: bound fewer points or fewer neurons at a time."""


def check_budget(count: int) -> None:
    """Refuses a tensor of ``count`` coefficients, before it is made."""
    if count > BUDGET:
        raise OverBudgetError(f"{count} coefficients at once, budget {BUDGET}")
