"""Pruning of small weights in training (Xiao et al. 2019 prune after it; the rows "+RS+Pruning")."""

from __future__ import annotations

import torch

from dmcore.nets import Network


class WeightPruner:
    """Sets weights below a threshold to 0 and holds them there; biases are left alone.

    A pruned weight is exactly 0 and a living one never is, so the weights themselves tell which are pruned, also after
    a resumption.
    """

    def __init__(self, net: Network, threshold: float) -> None:
        self.weights = [p for p in net.parameters() if p.ndim > 1]
        self.threshold = threshold
        self.alive = [torch.ones_like(w, dtype=torch.bool) for w in self.weights]

    @torch.no_grad()
    def prune(self) -> None:
        """Prunes what is below the threshold now, in addition to what is pruned already."""
        for weight, alive in zip(self.weights, self.alive, strict=True):
            torch.ge(weight.abs(), self.threshold, out=alive)
        self.hold()

    @torch.no_grad()
    def resume(self) -> None:
        """Takes up a pruning that is under way from the zeros among the weights."""
        for weight, alive in zip(self.weights, self.alive, strict=True):
            torch.ne(weight, 0, out=alive)

    @torch.no_grad()
    def hold(self) -> None:
        """After an optimiser's step: pruned weights go back to 0."""
        for weight, alive in zip(self.weights, self.alive, strict=True):
            weight.mul_(alive)
