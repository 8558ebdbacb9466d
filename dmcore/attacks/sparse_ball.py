"""The points an attack may use under ℓ0: a few inputs, each a channel of a pixel, may take any value in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.attacks.pixel_ball import PixelBall


class L0Ball(PixelBall):
    """At most ε inputs differ from x (PGD-0 of Croce & Hein 2019)."""

    def draw(self, generator: torch.Generator) -> Tensor:
        """As many random inputs as may change, at 0 or 1, as worst cases are."""
        values = self._uniform(generator, self.x.shape).round().flatten(1)
        chosen = self._largest(self._uniform(generator, values.shape))
        return torch.where(chosen, values, self.x.flatten(1)).view_as(self.x)

    def direction(self, gradient: Tensor, at: Tensor) -> Tensor:
        """The gradient, its steepest entry scaled to 1: unlike that of one entry alone, a step that changes several."""
        largest = gradient.flatten(1).abs().amax(1).view(-1, *[1] * (gradient.dim() - 1))
        return gradient / largest.clamp(min=torch.finfo(gradient.dtype).tiny)

    def project(self, at: Tensor) -> Tensor:
        """The changes that bring the point nearest: those of largest moved² − (moved − allowed)²."""
        moved, allowed, _ = self._moved(at)
        chosen = self._largest(allowed * (2 * moved - allowed))
        return torch.where(chosen, at.clamp(self.low, self.high).flatten(1), self.x.flatten(1)).view_as(self.x)

    def _largest(self, values: Tensor) -> Tensor:
        """(B, n) bool: the ε largest values of each point."""
        count = min(int(self.eps), values.shape[1])
        return torch.zeros_like(values, dtype=torch.bool).scatter(1, values.topk(count, dim=1).indices, True)
