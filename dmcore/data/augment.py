"""Random crops and flips of training batches, on the device that holds them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(x: Tensor, generator: torch.Generator, pad: int = 0, flip: bool = False) -> Tensor:
    """Each image cropped to its own size at a random place of its zero-padded self, then mirrored half of the time.

    Draws first the crops' offsets (2, B), rows and columns, from 0 to 2·pad, then whether to flip (B,). Waits for no
    device and changes no value but by moving it.

    Args:
        x: images (B, C, H, W), uint8 or float, before any normalisation: the padding is black.
        generator: of the random numbers, on the device of ``x``.
        pad: rows and columns of zeros on each side; 0 crops nothing.
        flip: whether to mirror left and right.
    """
    b, c, h, w = x.shape
    rows = torch.arange(h, device=x.device).expand(b, h)
    columns = torch.arange(w, device=x.device).expand(b, w)
    if pad:
        x = F.pad(x, (pad, pad, pad, pad))
        offsets = torch.randint(2 * pad + 1, (2, b), generator=generator, device=x.device)
        rows, columns = rows + offsets[0][:, None], columns + offsets[1][:, None]
    if flip:
        mirrored = torch.randint(2, (b, 1), generator=generator, device=x.device).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(b, device=x.device)[:, None, None, None]
    channel = torch.arange(c, device=x.device)[:, None, None]
    return x[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
