"""Random batches of a data set that lies on the device as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dmcore.data import Split
from dmcore.errors import UserError


def batches(data: Split, size: int, steps: int, seed: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of steps ``start`` to ``steps`` − 1, uint8; each epoch in a fresh order that only the seed decides.

    What does not fill a batch at an epoch's end is left out of that epoch.

    Raises:
        UserError: fewer points than a batch takes.
    """
    if len(data) < size:
        raise UserError(f"batch size {size}, but only {len(data)} training points")
    per_epoch = len(data) // size
    generator = torch.Generator().manual_seed(seed)
    for _ in range(-(-start // per_epoch)):  # the orders of the epochs that are over, or under way
        order = torch.randperm(len(data), generator=generator).to(data.x.device)
    for step in range(start, steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(data), generator=generator).to(data.x.device)
        index = order[step % per_epoch * size :][:size]
        yield data.x[index], data.y[index]


def pixels(x: Tensor) -> Tensor:
    """uint8 images as float32 pixels in [0, 1]."""
    return x.float().div_(255)
