"""A node's values themselves as linear forms: what a backward substitution starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.linear.coefficients import Coefficients
from dmcore.linear.dense import OneHot
from dmcore.linear.patches import Patches
from dmcore.nets.network import Shape


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
