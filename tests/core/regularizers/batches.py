"""Small batches in float64, and what they are compared with, by loops."""

import math

import numpy as np
import torch
from conftest import NETS
from dense_reference import matrices

from dmcore.nets import as_network
from dmcore.regularizers import Batch

EPS = 0.05
PGD = {"kind": "pgd", "steps": 3, "step_of_eps": 0.5, "random_start": False}


def batch_of(name="conv", eps=EPS, count=5, ramp=1.0, seed=0):
    """A batch of a net of ``conftest.NETS``; ``seed`` is that of its random numbers."""
    x = torch.rand(count, *NETS[name].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 2, 0])[:count]
    return Batch(as_network(NETS[name].make(0, torch.float64)), x, y, eps, torch.Generator().manual_seed(seed), ramp)


def steps_of(name="conv"):
    """The layers of that net as matrices."""
    return matrices(NETS[name].make(0, torch.float64), NETS[name].shape)


def cross_entropy(logits, y):
    """The mean over the points, of lists of numbers."""
    losses = [math.log(sum(math.exp(z) for z in row)) - row[label] for row, label in zip(logits, y, strict=True)]
    return sum(losses) / len(losses)


def reference_margins(batch, steps, of):
    """(B, K) of ``of(steps, x, y)`` for each point."""
    return np.array([of(steps, x.flatten().numpy(), y) for x, y in zip(batch.x, batch.y.tolist(), strict=True)])
