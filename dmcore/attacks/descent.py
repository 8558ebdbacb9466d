"""Projected gradient descent with restarts, shrinking steps, and a loss for each class that could win."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dmcore.attacks import Loss, cross_entropy
from dmcore.attacks.best import POINTS_AT_ONCE, BestAdversarial, margins
from dmcore.attacks.pgd import climb
from dmcore.attacks.pixel_ball import PIXEL_BALLS, L0Ball, PixelBall

BALLS: dict[str, type[PixelBall]] = {**PIXEL_BALLS, "l0": L0Ball}

FIRST, LAST = 2.0, 0.02
"""The lengths of the first and last step, as multiples of ε; between them they shrink by a fixed factor."""

FIRST_L0, LAST_L0 = 1e4, 1.0
"""Under ℓ0 in pixel scale. After a very long step the projection keeps the inputs whose change pays most to first
order; short ones keep what was chosen before unless a change is worth much more."""


def descend(net: nn.Module, x: Tensor, y: Tensor, best: BestAdversarial, seed: int, restarts: int, steps: int) -> None:
    """Updates ``best`` by each try: cross-entropy first, then the margin to each class, nearest first.

    The first try of each loss starts at x, the others at random points of the ball.
    """
    generator = torch.Generator(x.device).manual_seed(seed)
    targets = _nearest_classes(net, x, y)
    for restart in range(restarts):
        for rank in (None, *range(targets.shape[1])):
            if not len(best.unbroken):
                return
            for points in best.unbroken.split(POINTS_AT_ONCE):
                ball = BALLS[best.norm](x[points], best.eps, best.limits)
                start = ball.draw(generator) if restart else ball.x
                target = None if rank is None else targets[points, rank]
                best.update(points, _ascend(net, y[points], ball, start, steps, _loss(target)))


def _nearest_classes(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """(B, K − 1): the other classes, by the size of their clean logits."""
    with torch.no_grad():
        logits = torch.cat([net(part) for part in x.split(POINTS_AT_ONCE)])
    return logits.scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)[:, :-1]


def _loss(target: Tensor | None) -> Loss:
    if target is None:
        return cross_entropy
    return lambda z, y: (z.gather(1, target[:, None]) - z.gather(1, y[:, None]))[:, 0]


def _ascend(net: nn.Module, y: Tensor, ball: PixelBall, start: Tensor, steps: int, loss: Loss) -> Tensor:
    """Of all points of one ascent that with the smallest margin, whatever the loss."""
    worst, smallest, next_ = start, torch.full_like(y, torch.inf, dtype=start.dtype), start
    for length in (*_lengths(ball, steps), 0.0):  # the last point is evaluated only
        at = next_
        next_, logits = climb(net, y, ball, at, length, loss)
        margin = margins(logits, y)
        lower = margin < smallest
        smallest = torch.where(lower, margin, smallest)
        worst = torch.where(lower.view(-1, *[1] * (at.dim() - 1)), at, worst)
    return worst


def _lengths(ball: PixelBall, steps: int) -> Iterator[float | Tensor]:
    first, last = (FIRST_L0, LAST_L0) if isinstance(ball, L0Ball) else (FIRST * ball.eps, LAST * ball.eps)
    for step in range(steps):
        yield first * (last / first) ** (step / max(steps - 1, 1)) if first else 0.0
