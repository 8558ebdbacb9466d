"""Work in chunks, of points or of a node's rows, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor

from dmcore.device import out_of_memory, recording
from dmcore.nets.layers import Nonlinear
from dmcore.nets.network import Network

Part = TypeVar("Part")

# By device: on a CPU what its caches like, on a GPU what keeps it busy and fits its memory.
BUDGET = {"cpu": 2**25, "cuda": 2**28}  # coefficients in one tensor, above which the work is split
RANKED = {"cpu": 2**20, "cuda": 2**28}  # gains under ℓ0 that are ranked at once
MAX_POINTS = {"cpu": 32, "cuda": 256}  # bounded together where nothing is kept
TRAINING_POINTS = {"cpu": 8, "cuda": 64}  # where gradients need what every step made
PROJECTED_POINTS = {"cpu": 20, "cuda": 1024}  # where random projections stand for the coefficients
MAX_WIDTH = {"shallow": 2**18, "deep": 2**16}  # values of the widest layer, of all points together, on a CPU
CACHED = 2**22  # coefficients at once of dense forms on a CPU: what its caches hold


class OverBudgetError(MemoryError):
    """One tensor of coefficients would exceed the budget: bound fewer points or fewer neurons at a time."""


def check_budget(count: int, device: torch.device) -> None:
    """Refuses a tensor of ``count`` coefficients, before it is made."""
    if count > BUDGET[device.type]:
        raise OverBudgetError(f"{count} coefficients at once, budget {BUDGET[device.type]}")


def point_chunk(net: Network, x: Tensor) -> int:
    """How many points are bounded together, unless memory asks for fewer: on a CPU, as many as were found fastest.

    Up to the second convolution a step is short, and many points share what it costs to begin it. From the third on
    each neuron has coefficients of its own in every step, and a few points fill the cache.
    """
    if x.device.type != "cpu":
        return MAX_POINTS[x.device.type]
    shapes, depth = net.shapes(x), net.nonlinear_depth()
    bounded = (parent for node in net.nodes() if isinstance(node.layer, Nonlinear) for parent in node.parents)
    deep = any(len(shapes[index]) == 3 and depth[index] > 1 for index in bounded)
    widest = max(torch.Size(shape).numel() for shape in shapes)
    return min(MAX_POINTS["cpu"], max(1, MAX_WIDTH["deep" if deep else "shallow"] // max(1, widest)))


def row_chunk(net: Network, x: Tensor, index: int, count: int) -> int:
    """How many of ``count`` rows of node ``index`` are bounded together for the points x: all, or what a CPU caches."""
    shapes = net.shapes(x)
    if len(shapes[index]) == 3 or x.device.type != "cpu":
        return count
    widest = max(torch.Size(shape).numel() for shape in shapes)
    return min(count, max(2, CACHED // (max(1, len(x)) * widest)))


def map_chunks(
    count: int,
    size: int,
    work: Callable[[slice], Part],
    fitting: dict[Hashable, int] | None = None,
    key: Hashable = None,
) -> list[Part]:
    """``work`` on ``size`` of ``count`` items at a time, on half as many wherever that needs too much memory.

    Args:
        fitting: by ``key``, the sizes found to fit memory; kept by the caller, so that the next call starts there.

    Raises:
        OverBudgetError, or what torch says where memory is short: a single item is too much. What torch says is
            raised at once while a CUDA graph is recorded.
    """
    fitting = {} if fitting is None else fitting
    parts, start, size = [], 0, min(count, size, fitting.get(key, count))
    while start < count:
        try:
            parts.append(work(slice(start, min(start + size, count))))
        except (RuntimeError, MemoryError) as error:
            if size == 1 or not out_of_memory(error):
                raise
            if not isinstance(error, OverBudgetError):
                if recording():  # what is in the graph by now cannot be taken out
                    raise
                torch.cuda.empty_cache()  # of blocks that fit no longer; does nothing without a GPU
            size = fitting[key] = -(-size // 2)
        else:
            start += size
    return parts
