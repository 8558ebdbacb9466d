"""The smallest adversarial examples that an attack finds, by bisection: what certified radii stay below."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmcore.attacks.best import POINTS_AT_ONCE
from dmcore.attacks.evaluate import attack_points, check_attack
from dmcore.perturbation.ball import PIXELS, Range
from dmcore.perturbation.inputs import Radius, checked_ball, checked_labels
from dmcore.perturbation.radii import radius_grid
from dmcore.precision import full_precision
from dmcore.results import PointResults


@dataclass(frozen=True, repr=False)
class SmallestAdversarial(PointResults):
    """The outcome of each bisection.

    Attributes:
        eps: (B,) float64, the smallest ε at which the attack broke the point; 0 where the point itself is
            misclassified, +inf where nothing was found.
        predicted: (B,), the class of ``inputs`` in float64.
        inputs: ``(B, *in_shape)`` float64, the adversarial example in that ball; where nothing was found, the point.
    """

    eps: Tensor
    predicted: Tensor
    inputs: Tensor

    def _summary(self) -> str:
        return f"{int(self.eps.isfinite().sum())} broken at some ε"


@full_precision()
def smallest_adversarial(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: str = "linf",
    attack: str = "pgd",
    upper: Radius | None = None,
    tolerance: float = 0.01,
    seed: int = 0,
    restarts: int = 3,
    steps: int = 50,
    input_range: Range = PIXELS,
    robust_at: Tensor | None = None,
) -> SmallestAdversarial:
    """Bisects, for each point, for the smallest ε at which :func:`dmcore.attacks.evaluate.attack_points` breaks it.

    The true smallest ε lies between the certified radius and this one. An attack may miss what is there, so that one
    below may be broken all the same.

    Args:
        net, x, y, norm, attack, seed, restarts, steps, input_range: as ``attack_points``; examples stay in
            ``input_range``.
        upper, tolerance: as :func:`dmcore.radius.certified_radius`.
        robust_at: (B,), what is known of each point, such as its certified radius: no smaller ε is tried. NaN where
            nothing is.

    Raises:
        UserError: as ``attack_points``; an ``upper`` or tolerance that is none.
    """
    check_attack(attack, norm)
    x = checked_ball(x, 0.0, norm, True, input_range).x.detach()
    radii = radius_grid(x, norm, upper, tolerance, input_range)
    exact = copy.deepcopy(net).double()
    inputs = x.double().clone()

    @torch.no_grad()
    def logits_of(x: Tensor) -> Tensor:
        return torch.cat([exact(part) for part in x.split(POINTS_AT_ONCE)])

    logits = logits_of(inputs)
    y = checked_labels(y, x, tuple(logits.shape[1:]))
    right = (logits.argmax(1) == y).cpu()
    broken_at = torch.where(right, len(radii) - 1, 0)
    not_broken_at = torch.zeros_like(broken_at)
    if robust_at is not None:
        known = robust_at.detach().double().cpu().nan_to_num(0.0)
        not_broken_at = torch.searchsorted(radii, known, right=True) - 1
    while (unknown := broken_at - not_broken_at > 1).any():
        middle = (broken_at + not_broken_at) // 2
        at = int(middle[unknown][0])  # the points that share it are attacked together
        points = (unknown & (middle == at)).nonzero()[:, 0]
        here = points.to(x.device)
        found = attack_points(
            net, x[here], y[here], radii[at].item(), norm, attack, True, seed, restarts, steps, input_range
        )
        broken = found.broken.cpu()
        broken_at[points[broken]], not_broken_at[points[~broken]] = at, at
        inputs[here[found.broken]] = found.inputs[found.broken]
    return SmallestAdversarial(radii[broken_at], logits_of(inputs).argmax(1), inputs)
