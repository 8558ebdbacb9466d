"""Double margins (§3.2): ``[z − s − v, z + s + v]`` stands for the values a layer takes, without being a bound.

s carries the first-order, linear sensitivity and v the non-linear one. Equations (7) and (8) take an affine layer
and the activation before it in one step; here each kind of layer has its own half of them:

- activation: ``s ← ½(σ(z+s) − σ(z−s))`` and ``v ← ½(σ(z+v) − σ(z−v)) + ½|σ(z+s+v) + σ(z−s−v) − 2σ(z)|``
- affine layer: ``s ← |W| s`` and ``v ← |W| v``

The absolute value changes nothing as long as z is the middle: σ and max-pooling are convex.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dmcore.domains.domain import Domain
from dmcore.domains.first_layer import FirstLayer
from dmcore.domains.interval import Interval
from dmcore.domains.pooling import Parts, Pooling, minus, plus, poolable
from dmcore.fusion import fusible
from dmcore.nets.layers import Affine, Flatten, MaxPool, ReLU, Sum
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box
from dmcore.registries import forward_domain


@dataclass(frozen=True)
class Margins:
    """The clean value z and its margins, each of z's shape; s may have batch size 1, v is None where it is 0.

    ``box`` is kept by :class:`IntervalMargin` alone, whose interval bounds take the place of z ± s.
    """

    z: Tensor
    s: Tensor
    v: Tensor | None = None
    box: Box | None = field(default=None, kw_only=True)

    @property
    def inner(self) -> tuple[Tensor, Tensor]:
        """(lower, upper) of the first-order range: z ∓ s, or the interval bounds l, u."""
        return (self.z - self.s, self.z + self.s) if self.box is None else (self.box.lower, self.box.upper)


@forward_domain("double_margin")
class DoubleMargin(Domain):
    """The paper's method: margins s and v."""

    curved = True  # whether there is a v

    def start(self, ball: Ball) -> Margins:
        return Margins(_middle(ball), ball.radius)

    def first(self, layer: FirstLayer) -> Margins:
        return Margins(layer.z, layer.half_range)

    def bounds(self, state: Margins) -> tuple[Tensor, Tensor]:
        lower, upper = state.inner
        return (lower, upper) if state.v is None else (lower - state.v, upper + state.v)


@forward_domain("single_margin")
class SingleMargin(DoubleMargin):
    """Variation 1, "s only": v ≡ 0."""

    curved = False


@forward_domain("single_prop_fastlin")
class SinglePropFastLin(SingleMargin):
    """SingleProp with Fast-Lin's bounds (Boopathy et al. 2021): ``s ← ¾s + ½z − z²/(4s)`` at an unstable ReLU, |z| < s.

    SingleProp's other rule, with bounds of slope 0, is the paper's "s only".
    """


@forward_domain("interval_margin")
class IntervalMargin(DoubleMargin):
    """Variation 2, "IBP + v": interval bounds u, l in the place of z + s, z − s."""

    def __init__(self) -> None:
        self.interval = Interval()

    def start(self, ball: Ball) -> Margins:
        return Margins(_middle(ball), ball.radius, box=self.interval.start(ball))

    def first(self, layer: FirstLayer) -> Margins:
        return Margins(layer.z, layer.half_range, box=self.interval.first(layer))


def _middle(ball: Ball) -> Tensor:
    """z at the input: the middle of the box, which is x unless the box is cut; under other norms the paper's, x."""
    return ball.center if ball.norm == "linf" else ball.x


@DoubleMargin.passes(Affine)
def _affine(domain: DoubleMargin, layer: Affine, m: Margins) -> Margins:
    return Margins(layer(m.z), layer.magnitude(m.s), None if m.v is None else layer.magnitude(m.v))


@DoubleMargin.passes(ReLU)
def _relu(domain: DoubleMargin, layer: ReLU, m: Margins) -> Margins:
    return Margins(*_relu_rule(m.z, m.s, m.v, domain.curved))


@fusible
def _relu_rule(z: Tensor, s: Tensor, v: Tensor | None, curved: bool) -> tuple[Tensor, ...]:
    # For ReLU and z in the middle ½(σ(z+m) + σ(z−m)) − σ(z) = ½σ(m − |z|).
    if not curved:
        return z.relu(), _half_range(z, s)
    half_range = _half_range(z, s)
    if v is None:
        return z.relu(), half_range, (s - z.abs()).relu() / 2
    return z.relu(), half_range, _half_range(z, v) + (s + v - z.abs()).relu() / 2


def _half_range(z: Tensor, s: Tensor) -> Tensor:
    """½(σ(z+s) − σ(z−s)) for ReLU and s ≥ 0."""
    return ((z + s).relu() - (z - s).relu()) * 0.5


@DoubleMargin.passes(MaxPool)
def _pool(domain: DoubleMargin, layer: MaxPool, m: Margins) -> Margins:
    return Margins(*_pool_rule(layer, m.z, m.s, m.v, domain.curved))


@poolable
def _pool_rule(pool: Pooling, z: Parts, s: Parts, v: Parts | None, curved: bool) -> tuple[Tensor, ...]:
    top, upper, lower = pool(z), pool(plus(z, s)), pool(minus(z, s))
    half_range = (upper - lower) / 2
    if not curved:
        return top, half_range
    if v is None:
        return top, half_range, (upper + lower) / 2 - top
    total = plus(s, v)
    spread = (pool(plus(z, v)) - pool(minus(z, v))) / 2
    return top, half_range, spread + (pool(plus(z, total)) + pool(minus(z, total))) / 2 - top


@DoubleMargin.passes(Flatten, Sum)
def _sum(domain: DoubleMargin, layer: Flatten | Sum, *branches: Margins) -> Margins:
    z, s = layer(*(m.z for m in branches)), layer(*(m.s for m in branches))
    curved = [m.v for m in branches if m.v is not None]
    return Margins(z, s, layer(*curved) if curved else None)


@SinglePropFastLin.passes(ReLU)
def _relu_fastlin(domain: SinglePropFastLin, layer: ReLU, m: Margins) -> Margins:
    z, unstable = layer(m.z), m.z.abs() < m.s
    curve = 0.75 * m.s + 0.5 * m.z - m.z.square() / (4 * torch.where(unstable, m.s, 1))
    return Margins(z, torch.where(unstable, curve, torch.where(m.z > 0, m.s, 0)))


@IntervalMargin.passes(ReLU, MaxPool)
def _monotone_box(domain: IntervalMargin, layer: ReLU | MaxPool, m: Margins) -> Margins:
    assert m.box is not None
    # (8) with z+s → u and z−s → l; z need not be the middle, so the absolute value stays.
    z, box = layer(m.z), domain.interval.step(layer, m.box)
    if m.v is None:
        curve = (layer(m.box.upper) + layer(m.box.lower) - 2 * z).abs() / 2
        return Margins(z, box.radius, curve, box=box)
    curve = (layer(m.box.upper + m.v) + layer(m.box.lower - m.v) - 2 * z).abs() / 2
    return Margins(z, box.radius, (layer(m.z + m.v) - layer(m.z - m.v)) / 2 + curve, box=box)


@IntervalMargin.passes(Affine)
def _affine_box(domain: IntervalMargin, layer: Affine, m: Margins) -> Margins:
    box = domain.interval.step(layer, m.box)
    return Margins(layer(m.z), box.radius, None if m.v is None else layer.magnitude(m.v), box=box)


@IntervalMargin.passes(Flatten, Sum)
def _sum_box(domain: IntervalMargin, layer: Flatten | Sum, *branches: Margins) -> Margins:
    box = domain.interval.step(layer, *(m.box for m in branches))
    return replace(_sum(domain, layer, *branches), s=box.radius, box=box)
