"""Interval bound propagation (Gowal et al. 2018; §2.3, equation (2)), as centre and radius."""

from __future__ import annotations

from torch import Tensor

from dmcore.domains.ball import Ball
from dmcore.domains.box import Box
from dmcore.domains.domain import Domain
from dmcore.domains.first_layer import FirstLayer
from dmcore.layers import Affine, Flatten, MaxPool, ReLU, Sum
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
