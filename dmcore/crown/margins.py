"""The margins as linear forms of the logits, subtracted before anything is bounded."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.linear.dense import Dense


def margin_rows(y: Tensor, num_classes: int, like: Tensor) -> Dense:
    """The forms z_y − z_j of the logits: (B, K, K), the row j = y all zeros."""
    eye = torch.eye(num_classes, dtype=like.dtype, device=like.device)
    return Dense(eye[y][:, None, :] - eye)
