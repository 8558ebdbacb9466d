"""Random batches of a data set that lies on the device as a whole."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.data import Split
from dmcore.errors import UserError


class Batches:
    """The batches of a run's steps, uint8; each epoch has a fresh order that only the seed decides.

    What does not fill a batch at an epoch's end is left out of that epoch.

    Attributes:
        per_epoch: the number of batches in an epoch.

    Raises:
        UserError: fewer points than a batch takes.
    """

    def __init__(self, data: Split, size: int, seed: int) -> None:
        if len(data) < size:
            raise UserError(f"batch size {size}, but only {len(data)} training points")
        self.data, self.size, self.per_epoch = data, size, len(data) // size
        self._generator = torch.Generator().manual_seed(seed)
        self._orders = 0

    def order(self, epoch: int) -> Tensor:
        """The points of an epoch's batches (per_epoch, size), on the device. Epochs can be asked for forwards only."""
        for _ in range(self._orders, epoch + 1):
            drawn = torch.randperm(len(self.data), generator=self._generator)
            self._order = drawn[: self.per_epoch * self.size].view(self.per_epoch, self.size).to(self.data.x.device)
        self._orders = epoch + 1
        return self._order

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: images (size, C, H, W) and labels (size,)."""
        epoch, place = divmod(step, self.per_epoch)
        index = self.order(epoch)[place]
        return self.data.x[index], self.data.y[index]
