"""Work on a batch a few points at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from dmcore.device import out_of_memory
from dmcore.nets.layers import Nonlinear
from dmcore.nets.network import Network

Part = TypeVar("Part")

POINTS_AT_ONCE = {"cpu": 8, "cuda": 64}  # where gradients need what every step made
AT_MOST = 32  # on a CPU, where nothing is kept
WIDTH_AT_ONCE = {"shallow": 2**18, "deep": 2**16}  # values of the widest layer, of all points together, on a CPU


def points_at_once(net: Network, x: Tensor) -> int:
    """How many points are bounded together, unless memory asks for fewer: on a CPU, as many as were found fastest.

    Up to the second convolution a step is short, and many points share what it costs to begin it. From the third on
    each neuron has coefficients of its own in every step, and a few points fill the cache.
    """
    if x.device.type != "cpu":
        return POINTS_AT_ONCE[x.device.type]
    shapes, bends = net.shapes(x), net.bends()
    bounded = (parent for node in net.nodes() if isinstance(node.layer, Nonlinear) for parent in node.parents)
    deep = any(len(shapes[index]) == 3 and bends[index] > 1 for index in bounded)
    widest = max(torch.Size(shape).numel() for shape in shapes)
    return min(AT_MOST, max(1, WIDTH_AT_ONCE["deep" if deep else "shallow"] // max(1, widest)))


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
