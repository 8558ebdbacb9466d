"""How large the numbers get: what a rounding error is to be measured against."""

from __future__ import annotations

from torch import Tensor

from dmcore.domains.domain import Domain
from dmcore.nets.layers import Affine, Flatten, MaxPool, ReLU, Sum
from dmcore.perturbation.ball import Ball


class Magnitude(Domain):
    """``m ← |W| m + |b|``: a bound on every partial sum, in whatever order it is added up.

    Adding n terms in floating point errs by at most about n · u · m, with u the unit roundoff.
    """

    def start(self, ball: Ball) -> Tensor:
        return ball.center.abs() + ball.radius


@Magnitude.passes(Affine)
def _affine(domain: Magnitude, layer: Affine, m: Tensor) -> Tensor:
    offset = layer.offset()
    return layer.magnitude(m) if offset is None else layer.magnitude(m) + offset.abs()


@Magnitude.passes(ReLU, MaxPool, Flatten, Sum)
def _same(domain: Magnitude, layer: ReLU | MaxPool | Flatten | Sum, *ms: Tensor) -> Tensor:
    return layer(*ms)
