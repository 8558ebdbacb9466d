"""The regulariser of Shi et al. (2021) for the time in which ε grows: stable interval bounds, balanced ReLUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dmcore.domains.interval import Interval, relu_inputs
from dmcore.perturbation import Box
from dmcore.registries import regularizer
from dmcore.regularizers import Batch, Regularizer


@regularizer("shi_warmup")
@dataclass
class ShiWarmup(Regularizer):
    """R = mean over the ReLU layers of [τ − r₀/r]₊/τ + [τ − ρ_μ]₊/τ + [τ − ρ_σ]₊/τ.

    r and c are the mean half-width and the middles of the interval bounds of a ReLU layer's inputs, r₀ the mean
    half-width of the network's. ρ_μ and ρ_σ compare what active ReLUs (l > 0) and inactive ones (u < 0) have of Σ|c|
    and of Σ(c − c̄)²: the smaller over the larger. A layer without both kinds has no such terms.

    Give the term ``ramp: fall``, and a method ``init: ibp``.

    Attributes:
        tolerance: τ.
        clip_input: cut the ball of perturbed inputs to [0, 1].
        norm: of the ball.
    """

    NEEDS_EPS = True

    tolerance: float = 0.5
    clip_input: bool = False
    norm: Literal["linf", "l2", "l1"] = "linf"

    def value(self, batch: Batch) -> Tensor:
        """R on the batch."""
        states = batch.states(Interval(), batch.ball(self.norm, self.clip_input))
        boxes = relu_inputs(batch.net, states)
        if not boxes:
            return batch.x.new_zeros(())
        first = states[0].radius.mean()
        return torch.stack([self._tight(box, first) + self._balanced(box) for box in boxes]).mean()

    def _tight(self, box: Box, first: Tensor) -> Tensor:
        return self._short_of(first / box.radius.mean().clamp(min=1e-12))

    def _balanced(self, box: Box) -> Tensor:
        c, active, inactive = box.center, box.lower > 0, box.upper < 0
        spread = (c - c.mean()).square()
        pairs = [((c * active).mean(), -(c * inactive).mean()), ((spread * active).sum(), (spread * inactive).sum())]
        larger = torch.stack([torch.maximum(*pair) for pair in pairs])
        smaller = torch.stack([torch.minimum(*pair) for pair in pairs])
        ratios = smaller / torch.where(larger > 0, larger, 1)
        return torch.where((larger > 0).all(), self._short_of(ratios).sum(), 0)

    def _short_of(self, ratio: Tensor) -> Tensor:
        return (self.tolerance - ratio).relu() / self.tolerance
