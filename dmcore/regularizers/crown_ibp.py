"""CROWN-IBP (Zhang et al. 2020): interval bounds of the hidden layers, one backward pass for the margins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dmcore.crown.backward import substitute
from dmcore.crown.margins import by_class, margin_rows
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.errors import UserError
from dmcore.linear.chunks import PROJECTED_POINTS, map_chunks
from dmcore.nets.layers import Nonlinear
from dmcore.perturbation import Ball, Box
from dmcore.registries import forward_domain, regularizer
from dmcore.regularizers import Batch, Regularizer
from dmcore.regularizers.margins import elided_margins, robust_loss


@regularizer("crown_ibp")
@dataclass
class CrownIbp(Regularizer):
    """R = CE(−m, y) − CE(z, y) with m = β·m_CROWN + (1−β)·m_IBP and β from 1 to ``beta_end`` as ε grows.

    Attributes:
        beta_end: β at the full ε.
        domain: the forward domain of the hidden layers' boxes and of m_IBP; ``interval`` is the method's own. Another
            one's are no bounds: then m is none either.
        clip_input: cut the ball of perturbed inputs to [0, 1].
        norm: of the ball.
    """

    NEEDS_EPS = True

    beta_end: float = 0.0
    domain: str = "interval"
    clip_input: bool = False
    norm: Literal["linf", "l2", "l1"] = "linf"

    def __post_init__(self) -> None:
        if not 0 <= self.beta_end <= 1:
            raise UserError(f"crown_ibp: beta_end is in [0, 1], got {self.beta_end}")
        self._domain = forward_domain.get(self.domain)()

    def value(self, batch: Batch) -> Tensor:
        """R on the batch; also tells it the worst-case logits."""
        ball = batch.ball(self.norm, self.clip_input)
        beta = 1 - (1 - self.beta_end) * batch.ramp
        if not isinstance(beta, Tensor) and beta == 0:
            margins = elided_margins(batch, self._domain, ball)
        elif not isinstance(beta, Tensor) and beta == 1:
            margins = self._crown(batch, ball)
        else:
            margins = beta * self._crown(batch, ball) + (1 - beta) * elided_margins(batch, self._domain, ball)
        return robust_loss(batch, margins) - batch.clean_loss

    def _crown(self, batch: Batch, ball: Ball) -> Tensor:
        """(B, K), the margins' lower bounds by CROWN's lines in the domain's boxes."""
        net, states = batch.net, batch.states(self._domain, ball)
        parents = {p for node in net.nodes() if isinstance(node.layer, Nonlinear) for p in node.parents}
        boxes = {p: self._domain.bounds(states[p]) for p in parents}

        def margins(points: slice) -> Tensor:
            own = {p: Box.between(*(side[points] for side in sides)) for p, sides in boxes.items()}
            relaxed = RelaxedNetwork(net, ball.select(lambda t: t[points]), "ada", own)
            y = batch.y[points]
            lower, _ = substitute(relaxed, net.output, margin_rows(y, batch.own.shape[1], batch.x), upper=False)
            return by_class(lower, y, 0)

        return torch.cat(map_chunks(len(batch.x), PROJECTED_POINTS[batch.x.device.type], margins))
