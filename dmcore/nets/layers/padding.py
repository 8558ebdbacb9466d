"""Zeros around an image, or less of it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def padded(t: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """``F.pad`` of (…, H, W) whose negative amounts cut off, from what the others have padded, too.

    Windows may lie in a convolution's padding alone: then more is cut on one side than the image has, which ``F.pad``,
    cutting first, refuses.
    """
    more = [max(amount, 0) for amount in (left, right, top, bottom)]
    wide = F.pad(t, more) if any(more) else t
    rows = slice(max(-top, 0), wide.shape[-2] + min(bottom, 0))
    return wide[..., rows, max(-left, 0) : wide.shape[-1] + min(right, 0)]
