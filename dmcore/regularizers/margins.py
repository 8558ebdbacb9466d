"""Margins z_y − z_j over a set of inputs, as the terms of the objective bound them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.crown.backward import substitute
from dmcore.crown.bounds import nonlinear_nodes
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.domains import Domain
from dmcore.linear.dense import Dense
from dmcore.perturbation import Ball, Box
from dmcore.regularizers.batch import Batch


def elided_margins(batch: Batch, domain: Domain, ball: Ball) -> Tensor:
    """What ``domain`` gives as lower bounds of z_y − z_j over the ball, (B, K); 0 for j = y.

    The rows z_y − z_j are subtracted in the last affine layers before anything is bounded ("elided"): never below the
    difference of the two logits' bounds.
    """
    net, states = batch.net, batch.states(domain, ball)
    nonlinear = nonlinear_nodes(net)
    boxes = {index: Box.between(*domain.bounds(states[index])) for index in nonlinear}
    relaxed = RelaxedNetwork(net, ball, "zero", boxes, stop=nonlinear)
    classes = batch.own.shape[1]
    eye = torch.eye(classes, dtype=ball.x.dtype, device=ball.x.device)
    # All pairs of classes for all points: one matrix product, where each point's own rows would need one of their own.
    pairs = Dense((eye[:, None] - eye).reshape(1, -1, classes))
    lower = substitute(relaxed, net.output, pairs, upper=False)[0].unflatten(1, (classes, classes))
    return (lower * batch.own[:, :, None]).sum(1)


def robust_loss(batch: Batch, margins: Tensor) -> Tensor:
    """CE(−m, y) with lower bounds m of the margins: the loss at the worst logits; also tells the batch those."""
    batch.worst_logits = -margins
    return F.cross_entropy(-margins, batch.y)
