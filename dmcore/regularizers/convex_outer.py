"""Convex outer bounds (Kolter & Wong 2018; Wong et al. 2018; Table 1): worst-case logits by CNN-Cert-ReLU's bounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dmcore.crown.backward import substitute
from dmcore.crown.bounds import relaxed_network
from dmcore.crown.margins import by_class, margin_rows
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.domains.projection import Projection
from dmcore.errors import UserError
from dmcore.linear.chunks import PROJECTED_POINTS, map_chunks
from dmcore.perturbation import Ball
from dmcore.registries import regularizer
from dmcore.regularizers import Batch, Regularizer
from dmcore.regularizers.margins import robust_loss


@regularizer("convex_outer")
@dataclass
class ConvexOuter(Regularizer):
    """R = CE(z*, y) − CE(z, y) with z*_j = −(lower bound of z_y − z_j over the ball), so z*_y = 0.

    The bound is CNN-Cert-ReLU's, which is Fast-Lin's and the dual one of Kolter & Wong; the rows z_y − z_j are
    subtracted before bounding.

    Attributes:
        projections: K > 0 estimates the boxes of the hidden layers from K random projections (Wong et al. take 50) and
            substitutes the logits alone back to the input: much cheaper for many neurons, but z* is then no bound any
            more. 0: exact bounds.
        clip_input: cut the ball of perturbed inputs to [0, 1].
        norm: of the ball: ``linf``, ``l2``, ``l1`` or ``l0``; under ``l0`` ε counts inputs.
    """

    NEEDS_EPS = True

    projections: int = 0
    clip_input: bool = False
    norm: str = "linf"

    def __post_init__(self) -> None:
        if self.projections < 0:
            raise UserError(f"convex_outer: projections must be ≥ 0 (0: exact bounds), got {self.projections}")

    def value(self, batch: Batch) -> Tensor:
        """R on the batch; also tells it the worst-case logits.

        Raises:
            UserError: ``projections`` without a random generator in the batch; a layer without a rule (named).
        """
        if self.projections and batch.generator is None:
            raise UserError(
                "convex_outer: random projections need a generator, Batch(..., generator=torch.Generator())"
            )
        classes = batch.logits.shape[1]

        def margins(points: slice) -> Tensor:
            ball, y = Ball(batch.x[points], batch.eps, self.norm, self.clip_input), batch.y[points]
            rows = margin_rows(y, classes, batch.x)
            lower, _ = substitute(self._relaxed(batch, ball), batch.net.output, rows, upper=False)
            return by_class(lower, y, 0)

        if self.projections:
            lower = torch.cat(map_chunks(len(batch.x), PROJECTED_POINTS[batch.x.device.type], margins))
        else:
            lower = batch.recomputed(margins)
        return robust_loss(batch, lower) - batch.clean_loss

    def _relaxed(self, batch: Batch, ball: Ball) -> RelaxedNetwork:
        """CNN-Cert-ReLU's linear bounds in every hidden layer."""
        if not self.projections:
            return relaxed_network(batch.net, ball, "relu")
        boxes = Projection(self.projections, batch.generator).hidden_boxes(batch.net, ball)
        return RelaxedNetwork(batch.net, ball, "relu", boxes)
