"""Attacks: inputs near the clean ones that a network gets wrong (Madry et al. 2018). One file each.

A new one is a dataclass with a ``perturb`` in a file here, under ``@attack("name")``; its fields are its options.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmcore.registries import attack

__all__ = ["Attack", "Loss", "cross_entropy", "make_attack"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""``loss(logits, y)``: logits (B, K) and what they are compared with to one value a point, (B,)."""


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """CE(z, y) of each point, (B,)."""
    return F.cross_entropy(logits, y, reduction="none")


class Attack(ABC):
    """A search for the point of largest loss within ε of x."""

    @abstractmethod
    def perturb(
        self,
        net: nn.Module,
        x: Tensor,
        y: Tensor,
        eps: float | Tensor,
        generator: torch.Generator | None,
        loss: Loss = cross_entropy,
    ) -> Tensor:
        """Inputs within ε of x and in [0, 1], of large loss; detached. The gradients of the net stay as they are.

        Nothing here waits for the device, and all shapes are static: it may stand in a training step.

        Args:
            net: maps (B, C, H, W) to logits (B, K).
            x: pixels in [0, 1].
            y: labels (B,), or what else ``loss`` compares the logits with.
            eps: radius ε ≥ 0 in pixel scale, a number or a 0-dim tensor.
            generator: all random numbers are drawn from it, on the device of x.
            loss: what to maximise, point by point.
        """


def make_attack(described: Mapping[str, Any]) -> Attack:
    """The attack of a config's mapping: its ``kind``, and the options of that kind."""
    options = {key: value for key, value in described.items() if key != "kind"}
    return attack.get(described["kind"])(**options)
