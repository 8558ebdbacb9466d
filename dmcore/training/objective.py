"""The objective L(θ) + Σ λ R(θ) (§3.1), put together from a method's description."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.attacks import make_attack
from dmcore.registries import regularizer
from dmcore.regularizers import Batch
from dmcore.spec import Method, Term


class Objective:
    """The loss of one method. Every training method of the paper is one of these, none has a loop of its own.

    Attributes:
        terms: each term as the method describes it, and its regulariser.
        attack: on whose result the base loss is taken, if any.
    """

    def __init__(self, method: Method) -> None:
        self.terms = [(term, regularizer.get(term.kind)(**term.options)) for term in method.regularizers]
        self.attack = make_attack({"kind": method.attack.kind, **method.attack.options}) if method.attack else None

    @property
    def norm(self) -> str:
        """The norm in which ε is measured: that of the first part that has one."""
        parts = [*(part for _, part in self.terms if part.NEEDS_EPS), self.attack]
        return next((norm for part in parts if (norm := getattr(part, "norm", None))), "linf")

    def __call__(self, batch: Batch, ramping: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its parts by name (detached): ``clean`` or ``attacked``, and the value of each regulariser.

        Args:
            ramping: False in the warm-up, where ε is 0: nothing is computed for the attack and for terms whose weight
                follows ε.
        """
        parts: dict[str, Tensor] = {}
        weighted: list[Tensor] = []
        for term, part in self.terms:
            weight = _weight(term, batch.ramp)
            if (not isinstance(weight, Tensor) and weight == 0) or (term.ramp and not ramping):
                continue
            value = part.value(batch)
            parts[term.name] = value.detach()
            weighted.append(value * weight)
        if self.attack is not None and ramping:
            _, batch.worst_logits = batch.attacked(self.attack)
            base = F.cross_entropy(batch.worst_logits, batch.y)
            parts["attacked"] = base.detach()
        else:
            base = batch.clean_loss
            parts["clean"] = base.detach()
        return torch.stack([base, *weighted]).sum(), parts


def _weight(term: Term, ramp: Tensor | float) -> Tensor | float:
    """λ where ε has grown to the share ``ramp`` of its final value."""
    if term.ramp == "fall":
        return term.weight * (1 - ramp)
    return term.weight * ramp if term.ramp else term.weight
