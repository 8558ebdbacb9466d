"""The regularisers built from a range of logits: IBP, Double Margin and its variations (§3.1, §3.2, equation (9))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.domains import Margins
from dmcore.perturbation import Ball
from dmcore.registries import forward_domain, regularizer
from dmcore.regularizers import Batch, Regularizer


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
        form: ``worst_logits`` puts z*_y = Λ_y and z*_j = U_j, as is usual; ``literal`` is the paper's own print, which
            keeps U_y inside the log-sum-exp.
    """

    NEEDS_EPS = True

    domain: str
    clip_input: bool = False
    norm: Literal["linf", "l2", "l1", "l0"] = "linf"
    form: Literal["worst_logits", "literal"] = "worst_logits"

    def __post_init__(self) -> None:
        self._domain = forward_domain.get(self.domain)()

    def value(self, batch: Batch) -> Tensor:
        """R on the batch; also tells it the clean logits, if the domain knows them, and the worst-case ones."""
        state = self._domain.output(batch.net, Ball(batch.x, batch.eps, self.norm, self.clip_input))
        lower, upper = self._domain.bounds(state)
        if isinstance(state, Margins):
            batch.logits = state.z
        # A mask and no gather, whose gradient a GPU can repeat to the bit only by sorting.
        own = batch.y[:, None] == torch.arange(lower.shape[1], device=lower.device)
        batch.worst_logits = worst = torch.where(own, lower, upper)
        if self.form == "literal":
            return (upper.logsumexp(1) - torch.where(own, lower, 0).sum(1)).mean() - batch.clean_loss
        return F.cross_entropy(worst, batch.y) - batch.clean_loss
