"""One batch on its way through the objective, and what the terms learn about it on the way."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.nets import Network


class Batch:
    """Inputs x (B, C, H, W), labels y (B,), the net and the ε of this step.

    A term that happens to compute the clean logits sets :attr:`logits`; otherwise they are computed on first use.
    ``worst_logits`` are those of the last term that has any, for the robust batch accuracy. Random numbers come from
    ``generator`` alone, which is on x's device.
    """

    def __init__(
        self, net: Network, x: Tensor, y: Tensor, eps: Tensor | float, generator: torch.Generator | None = None
    ) -> None:
        self.net, self.x, self.y, self.eps, self.generator = net, x, y, eps, generator
        self.worst_logits: Tensor | None = None

    @cached_property
    def logits(self) -> Tensor:
        """Clean logits (B, K)."""
        return self.net(self.x)

    @cached_property
    def clean_loss(self) -> Tensor:
        """CE(z, y), the base loss L."""
        return F.cross_entropy(self.logits, self.y)
