"""The margins as linear forms of the logits, subtracted before anything is bounded."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.linear.dense import Dense


def margin_rows(y: Tensor, num_classes: int, like: Tensor) -> Dense:
    """The forms z_y − z_j of the logits for the classes j ≠ y, in their order: (B, K−1, K)."""
    eye = torch.eye(num_classes, dtype=like.dtype, device=like.device)
    return Dense(eye[y][:, None, :] - eye[_others(y, num_classes)])


def by_class(found: Tensor, y: Tensor, own: float) -> Tensor:
    """What was found for :func:`margin_rows`, (B, K−1), at its classes, and ``own`` at j = y: (B, K)."""
    num_classes = found.shape[1] + 1
    whole = found.new_full((len(found), num_classes), own)
    return whole.scatter(1, _others(y, num_classes), found)


def _others(y: Tensor, num_classes: int) -> Tensor:
    """The classes j ≠ y, in their order: (B, K−1)."""
    first = torch.arange(num_classes - 1, device=y.device)
    return first + (first >= y[:, None])
