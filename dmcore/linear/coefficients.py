"""The coefficients of linear forms ``A z`` over a node's values z, for a batch of samples.

Three representations with one interface. :class:`Dense` holds every coefficient. :class:`Patches` holds, for the
neurons of a convolution, only those inside each neuron's receptive field: for the paper's small CNN that is a
tenth of the arithmetic and a thirtieth of the memory. :class:`Modulated` is a filter times a map, not yet written out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.linear.budget import OverBudgetError
from dmcore.linear.dense import Dense, Entries
from dmcore.linear.maps import Maps
from dmcore.linear.modulated import Modulated
from dmcore.linear.patches import Patches
from dmcore.nets.network import Shape

__all__ = ["Coefficients", "Dense", "Maps", "Modulated", "OverBudgetError", "Patches", "entries", "identity"]

Coefficients = Dense | Patches | Modulated | Maps


def identity(shape: Shape, like: Tensor, rows: slice = slice(None)) -> Coefficients:
    """Each value of a node itself: of some rows of a (C, H, W) node, or of some entries of another."""
    count = shape[1] if len(shape) == 3 else torch.Size(shape).numel()
    rows = slice(*rows.indices(count)[:2])
    if len(shape) == 3:
        return Patches.identity(shape, rows, like)
    whole = (rows.start, rows.stop) == (0, count)
    return Entries(None if whole else torch.arange(rows.start, rows.stop, device=like.device)[None], shape, like)


def entries(index: Tensor, shape: Shape, like: Tensor) -> Coefficients:
    """Chosen values of a node themselves: ``index`` (B, R), counted through the flattened node."""
    return Patches.entries(index, shape, like) if len(shape) == 3 else Entries(index, shape, like)
