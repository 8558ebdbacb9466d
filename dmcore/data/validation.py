"""A part of the training set that is held out, point by point or by whole tracks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dmcore.errors import UserError


def held_out(total: int, groups: Tensor | None, *, share: float, seed: int, by: str) -> Tensor:
    """Which training points form the validation set, as a mask (total,).

    Args:
        total: how many training points there are.
        groups: each point's group (total,), for ``by="track"``: the frames of a track are near copies of each other.
        share: the part of the points, or of the tracks, that is held out; rounded to a whole number of them.
        seed: of the random choice.
        by: ``point`` or ``track``.

    Raises:
        UserError: there are no tracks; one of the parts would be empty.
    """
    if by == "track" and groups is None:
        raise UserError("validation by track, but this data set's source names no tracks: use 'by: point'")
    group = groups.numpy() if by == "track" and groups is not None else np.arange(total)
    distinct = np.unique(group)
    count = round(share * len(distinct))
    if not 0 < count < len(distinct):
        raise UserError(f"a validation share of {share} of {len(distinct)} {by}s leaves a part empty")
    chosen = np.random.default_rng(seed).permutation(distinct)[:count]
    return torch.from_numpy(np.isin(group, chosen))
