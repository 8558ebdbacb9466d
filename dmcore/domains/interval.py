"""Interval bound propagation (Gowal et al. 2018; §2.3, equation (2)), as centre and radius."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmcore.domains.domain import Domain
from dmcore.domains.first_layer import FirstLayer
from dmcore.domains.pooling import Parts, Pooling, minus, plus, poolable
from dmcore.fusion import fusible
from dmcore.linear.intervals import image
from dmcore.nets.layers import Affine, Flatten, MaxPool, ReLU, Sum
from dmcore.nets.network import Network
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box
from dmcore.registries import forward_domain


@forward_domain("interval")
class Interval(Domain):
    """``l ≤ z ≤ u`` at every layer: an affine layer turns (c, r) into (W c + b, |W| r)."""

    def start(self, ball: Ball) -> Box:
        return Box(ball.center, ball.radius)

    def first(self, layer: FirstLayer) -> Box:
        middle = layer.z if layer.rise is layer.fall else layer.z + (layer.rise - layer.fall) / 2
        return Box(middle, layer.half_range)

    def bounds(self, state: Box) -> tuple[Tensor, Tensor]:
        return state.lower, state.upper


@Interval.passes(Affine, Flatten, Sum)
def _linear(domain: Interval, layer: Affine | Flatten | Sum, *boxes: Box) -> Box:
    return image(layer, *boxes)


@Interval.passes(ReLU)
def _relu(domain: Interval, layer: ReLU, box: Box) -> Box:
    return Box(*_relu_rule(box.center, box.radius))


@fusible
def _relu_rule(center: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    lower, upper = (center - radius).relu(), (center + radius).relu()
    return (lower + upper) / 2, (upper - lower) / 2


@Interval.passes(MaxPool)
def _pool(domain: Interval, layer: MaxPool, box: Box) -> Box:
    return Box(*_pool_rule(layer, box.center, box.radius))


@poolable
def _pool_rule(pool: Pooling, center: Parts, radius: Parts) -> tuple[Tensor, Tensor]:
    lower, upper = pool(minus(center, radius)), pool(plus(center, radius))
    return (lower + upper) / 2, (upper - lower) / 2


def relu_inputs(net: Network, states: Sequence[Box]) -> list[Box]:
    """Of the interval bounds of all nodes those of every ReLU's input, in the order of the layers."""
    return [states[node.parents[0]] for node in net.nodes() if isinstance(node.layer, ReLU)]


@torch.no_grad()
def unstable_relus(net: Network, ball: Ball) -> Tensor:
    """How many ReLUs a point has whose input may be of either sign, l < 0 < u, by interval bounds: the mean, 0-dim."""
    boxes = relu_inputs(net, Interval().states(net, ball))
    counts = [((box.lower < 0) & (box.upper > 0)).sum() for box in boxes]
    return torch.stack([torch.zeros((), device=ball.x.device), *counts]).sum() / len(ball.x)
