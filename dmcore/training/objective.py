"""The objective L(θ) + Σ λ R(θ) (§3.1), put together from a method's description."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.registries import attack, regularizer
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
        self.attack = attack.get(method.attack.kind)(**method.attack.options) if method.attack else None

    @property
    def norm(self) -> str:
        """The norm in which ε is measured: that of the first part that has one."""
        parts = [*(t.regularizer for t in self.terms if t.regularizer.NEEDS_EPS), self.attack]
        return next((norm for part in parts if (norm := getattr(part, "norm", None))), "linf")

    def __call__(self, batch: Batch, ramp: Tensor | float, ramping: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its parts by name (detached): ``clean`` or ``attacked``, and the value of each regulariser.

        Args:
            ramp: the share of the final λ in force, in [0, 1].
            ramping: False in the warm-up, where ε and the ramped λ are 0: nothing is then computed for them.
        """
        parts: dict[str, Tensor] = {}
        weighted: list[Tensor] = []
        for term in self.terms:
            if term.weight == 0.0 or (term.ramped and not ramping):
                continue
            value = term.regularizer.value(batch)
            parts[term.name] = value.detach()
            weighted.append(value * (term.weight * ramp if term.ramped else term.weight))
        if self.attack is not None and ramping:
            attacked = self.attack.perturb(batch.net, batch.x, batch.y, batch.eps, batch.generator)
            batch.worst_logits = batch.net(attacked)
            base = F.cross_entropy(batch.worst_logits, batch.y)
            parts["attacked"] = base.detach()
        else:
            base = batch.clean_loss
            parts["clean"] = base.detach()
        return torch.stack([base, *weighted]).sum(), parts
