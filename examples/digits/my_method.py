"""A regulariser of one's own, for a training method."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.registries import regularizer
from dmcore.regularizers import Batch, Regularizer


@regularizer("gradient_norm")
@dataclass
class GradientNorm(Regularizer):
    """R = ε·E‖∇ₓ CE(z, y)‖₁: how much the loss grows within ε, to first order."""

    NEEDS_EPS = True

    def value(self, batch: Batch) -> Tensor:
        x = batch.x.clone().requires_grad_()
        loss = F.cross_entropy(batch.net(x), batch.y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return batch.eps * gradient.flatten(1).abs().sum(1).mean()
