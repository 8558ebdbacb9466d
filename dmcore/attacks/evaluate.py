"""Attacks on a trained network's points: an upper bound of the robust accuracy, to stand beside the certified one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmcore.attacks.best import BestAdversarial
from dmcore.attacks.descent import descend
from dmcore.attacks.library import check_library, library_attacks
from dmcore.errors import UserError, nearest
from dmcore.perturbation.ball import PIXELS, Range
from dmcore.perturbation.inputs import Radius, checked_ball, checked_labels, misfit
from dmcore.precision import full_precision
from dmcore.results import PointResults, share

__all__ = ["ATTACKS", "Attacked", "attack_points", "check_attack"]

ATTACKS: dict[str, Callable[..., None]] = {"pgd": descend, "auto": library_attacks}
"""Searches that update a :class:`BestAdversarial`."""


@dataclass(frozen=True, repr=False)
class Attacked(PointResults):
    """What an attack found for each point.

    Attributes:
        predicted: (B,), the class of the clean input, in float64.
        margin: (B,), the smallest z_y − z_j that was seen in the ball, in float64.
        broken: (B,) bool, misclassified somewhere in the ball, the clean input included.
        inputs: ``(B, *in_shape)`` float64, where that margin is: in the ball to exactness, whatever the rounding.
    """

    predicted: Tensor
    margin: Tensor
    broken: Tensor
    inputs: Tensor

    @property
    def accuracy(self) -> float:
        """The share of points that are not broken: an upper bound of the robust accuracy."""
        return share(~self.broken)

    def _summary(self) -> str:
        return f"{self.accuracy:.1%} not broken"


def check_attack(attack: str, norm: str) -> None:
    """Refuses an unknown attack, or one that has no such norm or is not installed."""
    if attack not in ATTACKS:
        raise UserError(f"unknown attack '{attack}': {nearest(attack, ATTACKS)}")
    if attack == "auto":
        check_library(norm)


@full_precision()
def attack_points(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: Radius,
    norm: str = "linf",
    attack: str = "pgd",
    clip_input: bool = True,
    seed: int = 0,
    restarts: int = 3,
    steps: int = 50,
    input_range: Range = PIXELS,
) -> Attacked:
    """Searches the ε-ball around each point for an input that the network gets wrong.

    A point that is not broken may be robust or not; the share of these bounds the robust accuracy from above.
    Points that are broken already are not searched further. Same seed and device, same result.

    Args:
        net: maps ``(B, *in_shape)`` to logits (B, K); left as it is.
        x: inputs ``(B, *in_shape)``, pixels in [0, 1]; searched in x's dtype, checked in float64.
        y: labels (B,).
        eps: radius ε ≥ 0 in pixel scale, a number or text such as ``8/255``; under ``l0`` how many inputs change, each
            to a value in ``input_range``.
        norm: the ball's norm: ``linf``, ``l2``, ``l1`` or ``l0``.
        attack: ``pgd``, or ``auto`` for those of the adversarial-robustness-toolbox (not ``l0``).
        clip_input: stay in ``input_range``. The ball of certificates that do not clip is larger, so that the bound
            holds beside either kind.
        seed: of all random numbers.
        restarts: tries from different starts.
        steps: gradient steps of a try.
        input_range: (low, high), what an input may be: x outside it is refused.

    Raises:
        UserError: an unknown attack or norm, an ε that is none, inputs that do not fit the network, ART not installed
            or without attacks of this norm.
    """
    check_attack(attack, norm)
    if restarts < 1 or steps < 1:
        raise UserError(f"restarts and steps must be ≥ 1, got {restarts} and {steps}")
    ball = checked_ball(x, eps, norm, clip_input, input_range)
    if isinstance(ball.eps, Tensor):
        raise UserError(f"an attack takes one eps for all points, got shape {tuple(ball.eps.shape)}")
    x = ball.x.detach()
    try:
        with torch.no_grad():
            output = tuple(net(x[:1]).shape[1:])
    except RuntimeError as error:
        raise misfit(x, error) from error
    labels = checked_labels(y, x, output)
    best = BestAdversarial(net, ball, labels)
    ATTACKS[attack](net, x, labels, best, seed, restarts, steps)
    return Attacked(best.predicted, best.margin, best.broken, best.inputs)
