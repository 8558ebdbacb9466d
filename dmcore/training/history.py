"""What is remembered of a training: the mean of every quantity since the last entry."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.regularizers import Batch


class Totals:
    """Sums over the steps since the last entry, kept on the device until someone asks.

    The tensors stay the same ones from entry to entry, so that a recorded step can add to them.
    """

    def __init__(self, sums: dict[str, Tensor] | None = None, counts: dict[str, int] | None = None) -> None:
        self.sums, self.counts = sums or {}, counts or {}

    def add(self, values: dict[str, Tensor]) -> None:
        """Takes in the values of one step; :meth:`count` is told of it apart."""
        for name, value in values.items():
            if name in self.sums:
                self.sums[name] += value
            else:
                self.sums[name] = value.clone()

    def count(self, names: list[str]) -> None:
        """Takes note of one more step that had these values."""
        for name in names:
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The mean of each value over the steps that had it."""
        return {name: float(self.sums[name]) / count for name, count in self.counts.items()}

    def clear(self) -> None:
        """Begins the next entry."""
        self.counts = {}
        for total in self.sums.values():
            total.zero_()


@torch.no_grad()
def measured(loss: Tensor, parts: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """What one step tells: the loss, its parts, and the accuracies on the clean and the worst-case logits."""
    values = {"loss": loss.detach(), **parts, "accuracy": _share_right(batch.logits, batch.y)}
    if batch.worst_logits is not None:
        values["robust_accuracy"] = _share_right(batch.worst_logits, batch.y)
    return values


def _share_right(logits: Tensor, y: Tensor) -> Tensor:
    return (logits.detach().argmax(1) == y).float().mean()
