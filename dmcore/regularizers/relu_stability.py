"""ReLU stability (Xiao et al. 2019; Table 1): ReLUs whose sign no perturbation changes are easy to verify."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dmcore.domains.interval import Interval, relu_inputs
from dmcore.registries import regularizer
from dmcore.regularizers import Batch, Regularizer


@regularizer("relu_stability")
@dataclass
class ReluStability(Regularizer):
    """R = −E Σ tanh(1 + u ⊙ l) over the inputs of all ReLUs, u and l their interval bounds at ε.

    Attributes:
        clip_input: cut the ball of perturbed inputs to [0, 1].
        norm: of the ball: ``linf``, ``l2``, ``l1`` or ``l0``; under ``l0`` ε counts inputs.
        positions: what becomes of a convolution's outputs at different places: their ``mean``, as in the method's
            public code, to which its weight of 10⁻⁴ belongs, or their ``sum``, as the formula is printed.
    """

    NEEDS_EPS = True

    clip_input: bool = False
    norm: str = "linf"
    positions: Literal["mean", "sum"] = "mean"

    def value(self, batch: Batch) -> Tensor:
        """R on the batch, around its clean inputs."""
        boxes = relu_inputs(batch.net, batch.states(Interval(), batch.ball(self.norm, self.clip_input)))
        stable = [(1 + box.center.square() - box.radius.square()).tanh() for box in boxes]  # u⊙l = c² − r²
        if not stable:
            return batch.x.new_zeros(())
        if self.positions == "sum":
            stable = [s.flatten(1) for s in stable]
        return -torch.stack([s.sum(1).mean() for s in stable]).sum()
