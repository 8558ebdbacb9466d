"""Expressive losses between adversarial training and bounds: MTL-IBP, CC-IBP, Exp-IBP (De Palma et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.attacks import make_attack
from dmcore.errors import UserError
from dmcore.registries import forward_domain, regularizer
from dmcore.regularizers import Batch, Regularizer
from dmcore.regularizers.margins import elided_margins, robust_loss


@regularizer("expressive")
@dataclass
class Expressive(Regularizer):
    """R = L_α − CE(z, y), with L_α between CE at an adversarial input (α = 0) and CE at the margins' bounds (α = 1).

    - ``mtl``: L_α = α·CE(−m, y) + (1−α)·CE(z(x_adv), y)
    - ``cc``: L_α = CE(−[α·m + (1−α)·m_adv], y), m_adv the margins at x_adv
    - ``exp``: L_α = CE(−m, y)^α · CE(z(x_adv), y)^(1−α), of the batch's means

    Attributes:
        blend: which of the three.
        alpha: α in [0, 1].
        attack: how x_adv is found (``kind`` and options).
        domain: the forward domain that gives the lower bounds m of the margins; ``interval`` is the method's own.
        attack_of_eps: the attack's radius, as a multiple of ε.
        clip_input: cut the ball of perturbed inputs to [0, 1].
        norm: of the ball; the attack has its own.
    """

    NEEDS_EPS = True

    blend: Literal["mtl", "cc", "exp"]
    alpha: float
    attack: Mapping[str, Any]
    domain: str = "interval"
    attack_of_eps: float = 1.0
    clip_input: bool = False
    norm: Literal["linf", "l2", "l1"] = "linf"

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise UserError(f"expressive: alpha is in [0, 1], got {self.alpha}")
        if not self.attack_of_eps > 0:
            raise UserError(f"expressive: attack_of_eps must be > 0, got {self.attack_of_eps}")
        self._domain = forward_domain.get(self.domain)()
        self._attack = make_attack(self.attack)

    def value(self, batch: Batch) -> Tensor:
        """R on the batch; also tells it the worst-case logits."""
        alpha = self.alpha
        margins = elided_margins(batch, self._domain, batch.ball(self.norm, self.clip_input))
        _, logits = batch.attacked(self._attack, self.attack_of_eps)
        if self.blend == "cc":
            attacked = torch.where(batch.own, logits, 0).sum(1, keepdim=True) - logits
            loss = F.cross_entropy(-(alpha * margins + (1 - alpha) * attacked), batch.y)
            batch.worst_logits = -margins
            return loss - batch.clean_loss
        bounded, attacked = robust_loss(batch, margins), F.cross_entropy(logits, batch.y)
        if self.blend == "mtl":
            return alpha * bounded + (1 - alpha) * attacked - batch.clean_loss
        tiny = torch.finfo(logits.dtype).tiny  # a loss of 0 has no finite slope
        return bounded.clamp(min=tiny) ** alpha * attacked.clamp(min=tiny) ** (1 - alpha) - batch.clean_loss
