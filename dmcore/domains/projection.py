"""Random projections of the convex outer bounds (Wong et al. 2018, "Scaling provable adversarial defenses", §3.2).

With parallel bounds, as in CNN-Cert-ReLU, the relaxation of a layer is a zonotope: its centre plus all ``G e`` with
``‖e‖∞ ≤ 1``. A neuron varies by ±‖row of G‖₁. Instead of G, :class:`Projection` carries ``G C`` for a few columns C of
Cauchy numbers. As sums of Cauchy numbers are Cauchy again, each entry of a row of ``G C`` is ‖row of G‖₁ times a Cauchy
number, and the median of their absolute values estimates ‖row of G‖₁.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dmcore.domains.domain import Domain
from dmcore.linear.relaxations import relu_relaxation
from dmcore.nets.layers import Affine, Flatten, Normalize, ReLU, Sum
from dmcore.nets.network import Network
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box


@dataclass(frozen=True)
class Sketch:
    """A zonotope: its centre (B, *shape) and its generators' K projections (B or 1, K, *shape).

    ``exact`` are the half-widths (B or 1, *shape) where they are known: of the input, and after its first layer.
    ``is_box``: the generators are one for each entry, as at the input.
    """

    center: Tensor
    projections: Tensor
    exact: Tensor | None = None
    is_box: bool = False

    @cached_property
    def box(self) -> Box:
        """The estimated range of each value. It is NOT a bound: about half of the half-widths are too small."""
        if self.exact is not None:
            return Box(self.center, self.exact)
        # The lower median, as in the code of Wong et al. The gradient goes through the entry that is the median.
        index = self.projections.detach().abs().median(1, keepdim=True).indices
        return Box(self.center, self.projections.gather(1, index)[:, 0].abs())


class Projection(Domain):
    """Estimates, in one pass forwards, of the boxes that CNN-Cert-ReLU finds for the hidden layers.

    For training only. Estimates are no bounds, so this domain has no ``bounds``, is registered under no name, and no
    certifier can be made of it.

    Args:
        count: K, the number of projections.
        generator: where the Cauchy numbers come from; on the device of the inputs.
    """

    def __init__(self, count: int, generator: torch.Generator | None) -> None:
        self.count, self.generator = count, generator

    def hidden_boxes(self, net: Network, ball: Ball) -> dict[int, Box]:
        """The estimated boxes of the inputs of all ReLUs, by node."""
        states = self.states(net, ball)
        return {p: states[p].box for node in net.nodes() if isinstance(node.layer, ReLU) for p in node.parents}

    def start(self, ball: Ball) -> Sketch:
        return Sketch(ball.center, ball.radius[:, None] * self.cauchy(ball.x), ball.radius, is_box=True)

    def cauchy(self, like: Tensor) -> Tensor:
        """K fresh Cauchy numbers for each entry of a sample (B, *shape), the same for all samples: (1, K, *shape)."""
        size = (1, self.count, *like.shape[1:])
        uniform = torch.rand(size, generator=self.generator, dtype=like.dtype, device=like.device)
        return uniform.sub_(0.5).mul_(math.pi).tan_()


@Projection.passes(Affine)
def _affine(domain: Projection, layer: Affine, s: Sketch) -> Sketch:
    exact = layer.magnitude(s.exact) if s.is_box and s.exact is not None else None
    return Sketch(layer(s.center), _each(layer.linear, s.projections), exact)


@Projection.passes(Normalize)
def _normalize(domain: Projection, layer: Normalize, s: Sketch) -> Sketch:
    exact = None if s.exact is None else layer.magnitude(s.exact)
    return Sketch(layer(s.center), _each(layer.linear, s.projections), exact, s.is_box)


@Projection.passes(ReLU)
def _relu(domain: Projection, layer: ReLU, s: Sketch) -> Sketch:
    # The middle of the two parallel bounds, and half their distance as one more generator for each unstable neuron.
    relaxation = relu_relaxation(s.box.lower, s.box.upper, "relu")
    slope, half = relaxation.upper_slope, relaxation.upper_intercept / 2
    projections = torch.addcmul(slope[:, None] * s.projections, half[:, None], domain.cauchy(half))
    return Sketch(slope * s.center + half, projections)


@Projection.passes(Flatten)
def _flatten(domain: Projection, layer: Flatten, s: Sketch) -> Sketch:
    exact = None if s.exact is None else layer(s.exact)
    return Sketch(layer(s.center), s.projections.flatten(2), exact, s.is_box)


@Projection.passes(Sum)
def _sum(domain: Projection, layer: Sum, *branches: Sketch) -> Sketch:
    return Sketch(layer(*(s.center for s in branches)), layer(*(s.projections for s in branches)))


def _each(linear: Callable[[Tensor], Tensor], projections: Tensor) -> Tensor:
    return linear(projections.flatten(0, 1)).unflatten(0, projections.shape[:2])
