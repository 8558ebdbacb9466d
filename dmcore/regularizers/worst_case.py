"""The regularisers built from a range of logits: IBP, Double Margin and its variations (§3.1, §3.2, equation (9)).

With a small box around an adversarial input in the place of the whole ball, SABR (Müller et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.attacks import make_attack
from dmcore.domains import Margins
from dmcore.errors import UserError
from dmcore.perturbation import Ball
from dmcore.registries import forward_domain, regularizer
from dmcore.regularizers import Batch, Regularizer
from dmcore.regularizers.margins import elided_margins, robust_loss


@regularizer("worst_case")
@dataclass
class WorstCase(Regularizer):
    """R = L₊(U) + L₋(Λ) − L(z), with U and Λ the upper and lower logits that ``domain`` gives at ε.

    With weight λ the objective is ``(1−λ)·CE(z, y) + λ·CE(z*, y)``. The norm changes the first affine layer alone
    (appendix H.1).

    Attributes:
        domain: the forward domain that gives the range of the logits.
        clip_input: cut the ball of perturbed inputs to [0, 1].
        norm: of the ball; under ``l0`` ε counts inputs.
        form: ``worst_logits`` puts z*_y = Λ_y and z*_j = U_j, as in the paper's experiments; ``literal`` is the paper's
            own print, which keeps U_y inside the log-sum-exp; ``elided`` puts z*_j = −(lower bound of z_y − z_j), the
            two rows subtracted before bounding, as is usual since Gowal et al. (2018).
        around: an attack (``kind`` and options). The range is then that over a small box around what it finds.
        share: τ, the small box's width over the whole one's; it is moved into the whole one.
    """

    NEEDS_EPS = True

    domain: str
    clip_input: bool = False
    norm: Literal["linf", "l2", "l1", "l0"] = "linf"
    form: Literal["worst_logits", "literal", "elided"] = "worst_logits"
    around: Mapping[str, Any] | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        self._domain = forward_domain.get(self.domain)()
        self._attack = make_attack(self.around) if self.around is not None else None
        if not 0 < self.share <= 1:
            raise UserError(f"worst_case: share is in (0, 1], got {self.share}")
        if self._attack is None and self.share != 1:
            raise UserError("worst_case: share is that of a box around an attack's input: give around, too")
        if self._attack is not None and self.norm != "linf":
            raise UserError(f"worst_case: small boxes are of the norm linf, not {self.norm}")

    def value(self, batch: Batch) -> Tensor:
        """R on the batch; also tells it the clean logits, if the domain knows them, and the worst-case ones."""
        whole = batch.ball(self.norm, self.clip_input)
        ball = whole if self._attack is None else small_box(whole, batch.attacked(self._attack)[0], self.share)
        state = batch.states(self._domain, ball)[-1]
        if isinstance(state, Margins) and ball is whole and not (self.clip_input and self.norm == "linf"):
            batch.logits = state.z
        if self.form == "elided":
            return robust_loss(batch, elided_margins(batch, self._domain, ball)) - batch.clean_loss
        lower, upper = self._domain.bounds(state)
        batch.worst_logits = worst = torch.where(batch.own, lower, upper)
        if self.form == "literal":
            return (upper.logsumexp(1) - torch.where(batch.own, lower, 0).sum(1)).mean() - batch.clean_loss
        return F.cross_entropy(worst, batch.y) - batch.clean_loss


def small_box(ball: Ball, at: Tensor, share: float) -> Ball:
    """The box of ``share`` times the ball's widths that lies inside it, its middle as near to ``at`` as can be."""
    radius = share * ball.radius
    rest = ball.radius - radius
    return Ball(at.clamp(ball.center - rest, ball.center + rest), radius.expand_as(at))
