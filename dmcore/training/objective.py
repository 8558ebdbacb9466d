"""The objective L(θ) + Σ λ R(θ) (§3.1), put together from a method's description."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dmcore.registries import regularizer
from dmcore.regularizers import Batch, Regularizer
from dmcore.spec import Method


@dataclass(frozen=True)
class Term:
    """One weighted regulariser; ``ramped`` if its weight follows the schedule's ramp."""

    name: str
    regularizer: Regularizer
    weight: float
    ramped: bool


class Objective:
    """The loss of one method. Every training method of the paper is one of these, none has a loop of its own."""

    def __init__(self, method: Method) -> None:
        self.terms = [Term(t.name, regularizer.get(t.kind)(**t.options), t.weight, t.ramp) for t in method.regularizers]

    def __call__(self, batch: Batch, level: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its parts by name (detached): ``clean`` and the value of each regulariser.

        Args:
            level: the share of the final λ in force, in [0, 1].
        """
        parts: dict[str, Tensor] = {}
        weighted: list[Tensor] = []
        for term in self.terms:
            weight = term.weight * (level if term.ramped else 1.0)
            if weight == 0.0:
                continue
            value = term.regularizer.value(batch)
            parts[term.name] = value.detach()
            weighted.append(weight * value)
        parts["clean"] = batch.clean_loss.detach()
        return torch.stack([batch.clean_loss, *weighted]).sum(), parts
