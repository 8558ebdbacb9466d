"""Work on a batch a few points at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from dmcore.device import out_of_memory
from dmcore.nets.network import Network

Part = TypeVar("Part")

POINTS_AT_ONCE = {"cpu": 8, "cuda": 64}  # on a CPU, what stays in the cache is fastest
WIDTH_AT_ONCE = 2**16  # values of a network's widest layer, of all points together, on a CPU


def points_at_once(net: Network, x: Tensor) -> int:
    """How many points are bounded together, unless memory asks for fewer."""
    most = POINTS_AT_ONCE[x.device.type]
    if x.device.type != "cpu":
        return most
    widest = max(torch.Size(shape).numel() for shape in net.shapes(x))
    return max(1, min(most, WIDTH_AT_ONCE // max(1, widest)))


def over_points(count: int, size: int, work: Callable[[slice], Part]) -> list[Part]:
    """``work`` on ``size`` of ``count`` points at a time, on half as many wherever that needs too much memory.

    Raises:
        OverBudgetError, or what torch says where memory is short: a single point is too much.
    """
    parts, start = [], 0
    while start < count:
        try:
            parts.append(work(slice(start, min(start + size, count))))
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not out_of_memory(error):
                raise
            size //= 2
            torch.cuda.empty_cache()  # of blocks that fit no longer; does nothing without a GPU
        else:
            start += size
    return parts
