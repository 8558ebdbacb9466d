"""Interval bound propagation (Gowal et al. 2018; §2.3, equation (2)), as centre and radius."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from dmcore.domains.ball import Ball
from dmcore.domains.box import Box
from dmcore.domains.domain import Domain
from dmcore.domains.first_layer import FirstLayer
from dmcore.domains.linear_relaxation.rounding import gamma, outward, summed
from dmcore.domains.magnitude import Magnitude
from dmcore.domains.underflow import underflow
from dmcore.layers import Affine, Flatten, MaxPool, ReLU, Sum
from dmcore.nets.network import Network
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


@Interval.passes(Affine)
def _affine(domain: Interval, layer: Affine, box: Box) -> Box:
    return Box(layer(box.center), layer.magnitude(box.radius))


@Interval.passes(ReLU, MaxPool)
def _monotone(domain: Interval, layer: ReLU | MaxPool, box: Box) -> Box:
    return Box.between(layer(box.lower), layer(box.upper))


@Interval.passes(Flatten)
def _flatten(domain: Interval, layer: Flatten, box: Box) -> Box:
    return Box(layer(box.center), layer(box.radius))


@Interval.passes(Sum)
def _sum(domain: Interval, layer: Sum, *boxes: Box) -> Box:
    return Box(layer(*(b.center for b in boxes)), layer(*(b.radius for b in boxes)))


def interval_errors(net: Network, ball: Ball) -> list[Tensor]:
    """How far interval bounds of each node may be off, computed in the dtype of ``ball.x``: (B, *shape).

    Each layer's sums err by γ of the sizes of what they add up, and its errors pass on like the sizes themselves.
    """
    sizes = Magnitude().states(net, ball)
    return [size * (2 * gamma(count, ball.x.dtype)) for size, count in zip(sizes, summed(net), strict=True)]


@torch.no_grad()
def rounded_bounds(exact: Network, ball: Ball, nodes: Collection[int]) -> dict[int, tuple[Tensor, Tensor]]:
    """(lower, upper) interval bounds of some nodes, in the dtype of ``ball.x`` and with room for all rounding errors.

    Args:
        exact: the network in float64, in which they are computed.
    """
    wide = replace(ball, x=ball.x.double())
    lost = underflow(exact, wide, nodes, rows=1.0, dtype=ball.x.dtype)
    states, errors = Interval().states(exact, wide), [error + lost for error in interval_errors(exact, wide)]
    return {
        index: (
            outward(states[index].lower - errors[index], ball.x.dtype, -1),
            outward(states[index].upper + errors[index], ball.x.dtype, +1),
        )
        for index in nodes
    }


def relu_inputs(net: Network, ball: Ball) -> list[Box]:
    """Interval bounds of the input of every ReLU, in the order of the layers."""
    states = Interval().states(net, ball)
    return [states[node.parents[0]] for node in net.nodes() if isinstance(node.layer, ReLU)]


@torch.no_grad()
def unstable_relus(net: Network, ball: Ball) -> Tensor:
    """How many ReLUs a point has whose input may be of either sign, l < 0 < u, by interval bounds: the mean, 0-dim."""
    boxes = relu_inputs(net, ball)
    counts = [((box.lower < 0) & (box.upper > 0)).sum() for box in boxes]
    return torch.stack([torch.zeros((), device=ball.x.device), *counts]).sum() / len(ball.x)
