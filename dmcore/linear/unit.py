"""A node's values themselves as linear forms: what a backward substitution starts from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

import torch
from torch import Tensor

from dmcore.linear.chunks import map_chunks, row_chunk
from dmcore.linear.coefficients import Coefficients
from dmcore.linear.dense import OneHot
from dmcore.linear.patches import Patches
from dmcore.nets.network import Network, Shape


def identity(shape: Shape, like: Tensor, rows: slice = slice(None)) -> Coefficients:
    """Each value of a node itself: of some rows of a (C, H, W) node, or of some entries of another."""
    count = shape[1] if len(shape) == 3 else torch.Size(shape).numel()
    rows = slice(*rows.indices(count)[:2])
    if len(shape) == 3:
        return Patches.identity(shape, rows, like)
    whole = (rows.start, rows.stop) == (0, count)
    return OneHot(None if whole else torch.arange(rows.start, rows.stop, device=like.device)[None], shape, like)


def one_hot(index: Tensor, shape: Shape, like: Tensor) -> Coefficients:
    """Chosen values of a node themselves: ``index`` (B, R), counted through the flattened node."""
    return Patches.one_hot(index, shape, like) if len(shape) == 3 else OneHot(index, shape, like)


def of_each_value(
    net: Network,
    x: Tensor,
    index: int,
    work: Callable[[Coefficients], Iterable[Tensor]],
    fitting: dict[Hashable, int] | None = None,
) -> tuple[Tensor, ...]:
    """What ``work`` finds of linear forms (B, R), for every value of node ``index``: (B, *shape), some rows at a time.

    Args:
        fitting: as :func:`map_chunks` keeps it.
    """
    shape = net.shapes(x)[index]
    spatial = len(shape) == 3
    count = shape[1] if spatial else torch.Size(shape).numel()

    def part(rows: slice) -> list[Tensor]:
        start = identity(shape, x, rows)
        found = [start.rows(t) for t in work(start)]
        return [t.unflatten(1, (shape[0], -1, shape[2])) for t in found] if spatial else found

    parts = map_chunks(count, row_chunk(net, x, index, count), part, fitting, (index, "rows"))
    return tuple(torch.cat(side, dim=2 if spatial else 1).reshape(-1, *shape) for side in zip(*parts, strict=True))
