"""TRADES (Zhang et al. 2019; Table 1): how far the predictions can be moved within ε."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.attacks.pgd import Pgd
from dmcore.attacks.pixel_ball import PixelBall
from dmcore.errors import UserError
from dmcore.registries import regularizer
from dmcore.regularizers import Batch, Regularizer

START_STD = 0.001  # in pixel scale, as in the method's public code


@regularizer("trades")
@dataclass
class Trades(Regularizer):
    """R = E max KL(f(x) ‖ f(x+δ)) over ‖δ‖ ≤ ε, the maximum sought by PGD.

    Both arguments of the divergence are trained.

    Attributes:
        steps: how many steps of PGD.
        step, step_of_eps: the length of a step, in pixel scale or as a multiple of ε; one of the two.
        norm: of the ball, and the norm in which steps have their length.
    """

    NEEDS_EPS = True

    steps: int
    step: float | None = None
    step_of_eps: float | None = None
    norm: Literal["linf", "l2", "l1"] = "linf"

    def __post_init__(self) -> None:
        self._attack = _FromNearby(self.steps, self.step, self.step_of_eps, self.norm)

    def value(self, batch: Batch) -> Tensor:
        """R on the batch; also tells it the logits of the perturbed inputs, as worst-case ones."""
        clean = batch.logits.log_softmax(1)
        x = self._attack.perturb(batch.net, batch.x, clean.detach(), batch.eps, batch.generator, loss=divergence)
        batch.worst_logits = batch.net(x)
        return divergence(batch.worst_logits, clean).mean()


def divergence(logits: Tensor, clean: Tensor) -> Tensor:
    """KL(p ‖ softmax(logits)) of each point, (B,), for log p = ``clean`` (B, K)."""
    return F.kl_div(logits.log_softmax(1), clean, reduction="none", log_target=True).sum(1)


class _FromNearby(Pgd):
    """From x + 0.001·N(0, 1): at x itself the divergence has its minimum, and no slope."""

    def start(self, ball: PixelBall, generator: torch.Generator | None) -> Tensor:
        if generator is None:
            raise UserError("trades draws random numbers: give the batch a torch.Generator")
        noise = torch.randn(ball.x.shape, generator=generator, dtype=ball.x.dtype, device=ball.x.device)
        return ball.project(ball.x + START_STD * noise)
