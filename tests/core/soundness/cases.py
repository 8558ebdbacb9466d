"""Random cases, a network and a ball around each of a few inputs, and all that the library says of them."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from soundness.networks import AFFINE, BETWEEN, KINDS, Branch, Pick, Weights
from torch import Tensor

from dmcore.bounds import interval_bounds
from dmcore.certify import CertificationResult, certify_points, margin_bounds
from dmcore.crown.bounds import relaxed_network
from dmcore.domains import Interval, Magnitude
from dmcore.nets import INPUT, Network
from dmcore.nets.layers import Sum
from dmcore.perturbation import Ball

SHAPES = [
    (1, 1, 1), (1, 2, 2), (1, 1, 5), (2, 3, 2), (3,), (2, 4), (1, 4, 4), (1, 5, 5), (2, 4, 5), (1, 8, 7), (2, 8, 7),
]  # fmt: skip
RADII = {
    "linf": [0.1, 0.0, 0.01, 0.05, 0.3, 1.0],
    "l2": [0.4, 0.0, 0.05, 0.15, 1.2],
    "l1": [0.8, 0.0, 0.1, 0.3, 2.5],
    "l0": [1, 0, 1, 2, 3, 500],
}
RELAXATIONS = {
    "hidden, relu": partial(relaxed_network, slope="relu"),
    "hidden, ada": partial(relaxed_network, slope="ada"),
    "hidden, zero": partial(relaxed_network, slope="zero"),
    "hidden, unstable only": partial(relaxed_network, slope="ada", unstable_only=True),
    "hidden, intersected": partial(relaxed_network, slope="relu", intersect_ibp=True),
}


@dataclass(frozen=True)
class Case:
    """A network and a ball around each of a few inputs, in float64; all numbers are float32's, too.

    Attributes:
        x: (B, *shape) in [0, 1], some pixels exactly 0 or 1.
        intersect: the certifiers' option ``intersect_ibp``.
    """

    net: Network
    x: Tensor
    norm: str
    eps: float
    clip: bool = False
    intersect: bool = False

    @property
    def ball(self) -> Ball:
        """The balls around all inputs."""
        return Ball(self.x, self.eps, self.norm, self.clip)

    @cached_property
    def y(self) -> Tensor:
        """The predicted classes, but for the last of several inputs', so that wrong labels occur, too."""
        z = self.net(self.x)
        y = z.argmax(1)
        if len(y) > 1:
            y[-1] = (y[-1] + 1) % z.shape[1]
        return y

    @property
    def others(self) -> Tensor:
        """True but for the label, (B, K)."""
        return torch.arange(self.margin_size.shape[1]) != self.y[:, None]

    @cached_property
    def sizes(self) -> list[Tensor]:
        """Of each node, what its values are added up from at most, > 0: (B, *shape)."""
        sizes = Magnitude().states(self.net, self.ball)
        return [size.expand(len(self.x), *size.shape[1:]).clamp(min=1e-30) for size in sizes]

    @property
    def margin_size(self) -> Tensor:
        """The same of the margins: (B, K)."""
        return self.sizes[-1] + self.sizes[-1].gather(1, self.y[:, None])

    def bounds(self, name: str) -> Tensor:
        """A certifier's bounds of the margins, (B, K)."""
        return margin_bounds(self.net, self.x, self.y, self.eps, self.norm, name, self.clip, self.intersect)

    def verdicts(self, name: str, which: slice = slice(None)) -> CertificationResult:
        """A certifier's verdicts in float32, on the same network and some of the inputs."""
        single, x, y = copy.deepcopy(self.net).float(), self.x[which].float(), self.y[which]
        return certify_points(single, x, y, self.eps, self.norm, name, self.clip, self.intersect)

    def intervals(self) -> tuple[Tensor, Tensor]:
        """Interval bounds of the logits in float32, (B, K) each."""
        with torch.no_grad():
            return interval_bounds(copy.deepcopy(self.net).float(), self.x.float(), self.eps, self.norm, self.clip)

    def node_bounds(self) -> dict[tuple[str, int], tuple[Tensor, Tensor]]:
        """Intervals of all nodes, and what linear relaxations bound on the way, each (B, *shape); by name and node."""
        found = {("intervals", node): box for node, box in enumerate(Interval().states(self.net, self.ball))}
        for name, relaxation in RELAXATIONS.items():
            found |= {(name, node): box for node, box in relaxation(self.net, self.ball).boxes.items()}
        count = len(self.x)
        return {
            at: tuple(side.expand(count, *side.shape[1:]) for side in (box.lower, box.upper))
            for at, box in found.items()
        }

    def values(self, points: Tensor) -> list[Tensor]:
        """The values of all nodes at points."""
        return self.net.walk(lambda layer, *inputs: layer(*inputs), points)


def draw(
    pick: Pick, affine: bool = False, norms: Sequence[str] = tuple(RADII), tiny: bool = False, count: int = 2
) -> Case:
    """A case, each choice made by ``pick``.

    Args:
        affine: without ReLU and max-pool.
        tiny: at most 6 inputs and a few layers.
        count: B.
    """
    most, kinds = 2 if tiny else 4, AFFINE if affine else KINDS
    deep = pick([False, False, True]) and not tiny  # windows that grow over several convolutions
    shape = pick(SHAPES[:5] if tiny else SHAPES[-4:] if deep else SHAPES)
    weights = Weights(pick)
    stem = Branch(pick, weights, Network(), INPUT, shape, affine)
    if pick([False, False, True]):
        stem.normalise()
    if deep:
        between = [own for own in BETWEEN if not (affine and {"relu", "pool"} & {*own})]
        stem.plain = pick([False, True])
        for _ in range(3 if stem.plain else 2):
            stem.put("convolve", *pick(between))
    else:
        stem.grow(AFFINE, pick([1, 1, 1, 0]))
    stem.plain = False
    stem.grow(kinds, pick(range(most)))
    classes, members = pick([2, 3, 5]), pick([1, 1, 1, 2] if tiny else [1, 1, 1, 2, 3])
    bare, heads = pick([False, False, False, True]) and members == 1, []
    for _ in range(members):
        member = stem.branched()
        member.grow(kinds, pick(range(most + 1)))
        member.flatten()
        if not (bare and member.at != INPUT and 2 <= member.shape[0] <= 6):
            member.connect(classes, bias=True)
        heads.append(member.at)
    if members > 1:
        stem.net.add(Sum(1 / members), heads)
    x = (torch.rand(count, *shape, generator=weights.generator) * 1.4 - 0.2).clamp(0, 1).double()
    x, norm = (4 * x).round() / 4 if weights.grid else x, pick(list(norms))
    net = stem.net.requires_grad_(False)
    return Case(net, x, norm, pick(RADII[norm]), pick([False, True]), pick([False, False, True]))


@st.composite
def cases(choose: st.DrawFn, **options: Any) -> Case:
    """Hypothesis's strategy for :func:`draw`."""
    return draw(lambda choices: choose(st.sampled_from(choices)), **options)


def seeded(seed: int, **options: Any) -> Case:
    """The case of a seed."""
    return draw(random.Random(seed).choice, **options)


def examples(count: int) -> settings:
    """Hypothesis's settings of the suite: ``count`` examples, the same ones each time."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=slow)
