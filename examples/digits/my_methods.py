"""A network and a training method of one's own."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmcore.nets.builder import Builder
from dmcore.registries import architecture, regularizer
from dmcore.regularizers import Batch, Regularizer


@architecture("two_layers")
def two_layers(b: Builder, num_classes: int) -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 100),
        nn.ReLU(),
        nn.Linear(100, 100),
        nn.ReLU(),
        nn.Linear(100, num_classes),
    )


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
