"""Work on a batch a few points at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from dmcore.domains.linear_relaxation.coefficients import OverBudgetError

Part = TypeVar("Part")

POINTS_AT_ONCE = {"cpu": 8, "cuda": 64}  # on a CPU, what stays in the cache is fastest


def over_points(count: int, size: int, work: Callable[[slice], Part]) -> list[Part]:
    """``work`` on ``size`` of ``count`` points at a time, on half as many wherever that needs too much memory.

    Raises:
        OverBudgetError, torch.OutOfMemoryError: a single point is too much.
    """
    parts, start = [], 0
    while start < count:
        try:
            parts.append(work(slice(start, min(start + size, count))))
        except (OverBudgetError, torch.OutOfMemoryError):
            if size == 1:
                raise
            size //= 2
        else:
            start += size
    return parts
