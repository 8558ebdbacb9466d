"""Pruning of small weights in training (Xiao et al. 2019, as a post-processing there; reference settings 1e-3)."""

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
        self.alive: list[torch.Tensor] | None = None

    @torch.no_grad()
    def prune(self) -> None:
        """Prunes what is below the threshold now, in addition to what is pruned already."""
        self.alive = [w.abs() >= self.threshold for w in self.weights]
        self.hold()

    @torch.no_grad()
    def resume(self) -> None:
        """Takes up a pruning that is under way from the zeros among the weights."""
        self.alive = [w != 0 for w in self.weights]

    @torch.no_grad()
    def hold(self) -> None:
        """After an optimiser's step: pruned weights go back to 0."""
        for weight, alive in zip(self.weights, self.alive or (), strict=False):
            weight.mul_(alive)
