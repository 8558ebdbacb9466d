"""Projected gradient descent (Madry et al. 2018): the attack of adversarial training and of TRADES."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dmcore.attacks import Attack, Loss, cross_entropy
from dmcore.attacks.pixel_ball import PIXEL_BALLS, PixelBall
from dmcore.errors import UserError, nearest
from dmcore.registries import attack


@attack("pgd")
@dataclass
class Pgd(Attack):
    """``steps`` times: one step of fixed length up the gradient of the loss, then back to the nearest allowed point.

    Attributes:
        steps: how many steps.
        step, step_of_eps: the length of a step, in pixel scale or as a multiple of ε; one of the two.
        norm: of the ball, and the norm in which steps have their length.
        random_start: begin at a random point of the ball, not at x.
        restarts: how many tries; of each point's the worst is kept, a misclassified one before any other.
    """

    steps: int
    step: float | None = None
    step_of_eps: float | None = None
    norm: Literal["linf", "l2", "l1"] = "linf"
    random_start: bool = True
    restarts: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "restarts"):
            count: Any = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise UserError(f"pgd: {name} must be a whole number ≥ 1, got {count!r}")
        if (self.step is None) == (self.step_of_eps is None):
            raise UserError("pgd: give either step (in pixel scale) or step_of_eps (a multiple of ε)")
        name = "step" if self.step_of_eps is None else "step_of_eps"
        length: Any = getattr(self, name)
        if isinstance(length, bool) or not isinstance(length, int | float) or not 0 < length < math.inf:
            raise UserError(f"pgd: {name} must be a number > 0, got {length!r}")
        if self.norm not in PIXEL_BALLS:
            raise UserError(f"pgd: norm '{self.norm}' is not known: {nearest(str(self.norm), PIXEL_BALLS)}")
        if self.restarts > 1 and not self.random_start:
            raise UserError("pgd: restarts without random_start would all be the same")

    @torch.no_grad()
    def perturb(
        self,
        net: nn.Module,
        x: Tensor,
        y: Tensor,
        eps: float | Tensor,
        generator: torch.Generator | None,
        loss: Loss = cross_entropy,
    ) -> Tensor:
        """As :meth:`Attack.perturb`; with more than one restart y must be labels, whatever the loss."""
        ball = PIXEL_BALLS[self.norm](x.detach(), eps)
        length: Any = self.step if self.step_of_eps is None else self.step_of_eps * eps
        worst = self._ascend(net, y, ball, length, generator, loss)
        if self.restarts == 1:
            return worst
        worst_logits = net(worst)
        for _ in range(self.restarts - 1):
            found = self._ascend(net, y, ball, length, generator, loss)
            logits = net(found)
            better = _worse(logits, worst_logits, y, loss)
            worst = torch.where(better.view(-1, *[1] * (x.dim() - 1)), found, worst)
            worst_logits = torch.where(better[:, None], logits, worst_logits)
        return worst

    def start(self, ball: PixelBall, generator: torch.Generator | None) -> Tensor:
        """Where a try begins."""
        if not self.random_start:
            return ball.x
        if generator is None:
            raise UserError("pgd: a random start needs a torch.Generator")
        return ball.draw(generator)

    def _ascend(
        self,
        net: nn.Module,
        y: Tensor,
        ball: PixelBall,
        length: float | Tensor,
        generator: torch.Generator | None,
        loss: Loss,
    ) -> Tensor:
        at = self.start(ball, generator)
        for _ in range(self.steps):
            at, _ = climb(net, y, ball, at, length, loss)
        return at


def climb(
    net: nn.Module, y: Tensor, ball: PixelBall, at: Tensor, length: float | Tensor, loss: Loss
) -> tuple[Tensor, Tensor]:
    """The points one step on, and the logits at ``at``; both detached. No weight gets a gradient."""
    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        logits = net(leaf)
        (gradient,) = torch.autograd.grad(loss(logits, y).sum(), leaf)
    return ball.project(at + length * ball.direction(gradient, at)), logits.detach()


def _worse(logits: Tensor, others: Tensor, y: Tensor, loss: Loss) -> Tensor:
    """(B,) bool: misclassified where the other is not, or else of larger loss."""
    wrong, other_wrong = logits.argmax(1) != y, others.argmax(1) != y
    return (wrong & ~other_wrong) | ((wrong == other_wrong) & (loss(logits, y) > loss(others, y)))
