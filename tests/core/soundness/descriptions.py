"""Small random networks and balls as plain data, drawn by hypothesis, which can shrink them, or from a seed.

A description says what is asked for; :mod:`soundness.networks` makes it fit: a kernel that is larger than its input is
cut, a block that its input does not take is left out. So every description is a network, and so is every part of one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

Pick = Callable[[Sequence[Any]], Any]
"""Takes one of some choices, of which the first is the simplest."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolve:
    """A convolution; on a node of another shape a fully connected layer with as many outputs as ``channels``."""

    channels: int
    kernel: Pair
    stride: Pair
    padding: tuple[int, int, int, int]
    dilation: Pair
    groups: int
    bias: bool


@dataclass(frozen=True)
class Connect:
    """A fully connected layer: on the last axis of the node, or after a flatten."""

    units: int
    flatten: bool
    bias: bool


@dataclass(frozen=True)
class Pool:
    """A max-pooling, padded by up to half of its kernel."""

    kernel: Pair
    stride: Pair
    padding: Pair


@dataclass(frozen=True)
class Single:
    """A layer without sizes: ``relu``, ``normalise``, ``scale``, or ``mask``, a ReLU of which some are pruned."""

    kind: str


@dataclass(frozen=True)
class Residual:
    """A sum of branches that keep their input's shape; a branch without blocks is the identity.

    In a branch a convolution is "same", its odd padding before or after, and a pool has a window of 3 and stride 1.
    """

    branches: tuple[tuple[Block, ...], ...]
    scale: float


Block = Convolve | Connect | Pool | Single | Residual


@dataclass(frozen=True)
class Numbers:
    """Where the weights come from.

    Attributes:
        scale: of weights, over that at which the values keep their size.
        bias: standard deviation; large ones leave ReLUs dead or always active.
        zeros: share of weights that are exactly 0.
        grid: weights are multiples of ½ and pixels of ¼, so that values and bounds coincide exactly.
        uneven: some outputs of a layer are a thousandth of the others.
        tied: all weights of one shape are one tensor.
    """

    seed: int
    scale: float
    bias: float
    zeros: float
    grid: bool
    uneven: bool
    tied: bool


@dataclass(frozen=True)
class Case:
    """A network and a ball around each of a few inputs.

    Attributes:
        stem: what the members share.
        members: the networks whose logits are averaged, or the one.
        intersect: the certifiers' option ``intersect_ibp``.
        classes: K; the last layer is fully connected, unless ``bare`` and what comes before it has 2 to 6 values.
    """

    shape: tuple[int, ...]
    stem: tuple[Block, ...]
    members: tuple[tuple[Block, ...], ...]
    classes: int
    bare: bool
    numbers: Numbers
    norm: str
    eps: float
    clip: bool
    intersect: bool


SHAPES = [
    (1, 1, 1),
    (1, 2, 2),
    (1, 1, 5),
    (2, 3, 2),
    (3,),
    (2, 4),
    (1, 4, 4),
    (1, 5, 5),
    (2, 4, 5),
    (1, 8, 7),
    (2, 8, 7),
]
RADII = {
    "linf": [0.1, 0.0, 0.01, 0.05, 0.3, 1.0],
    "l2": [0.4, 0.0, 0.05, 0.15, 1.2],
    "l1": [0.8, 0.0, 0.1, 0.3, 2.5],
    "l0": [1, 0, 1, 2, 3, 500],
}
SINGLES = ["relu", "relu", "relu", "scale", "normalise", "mask"]
AFFINE = ["convolve", "convolve", "connect", "residual", "scale", "normalise"]
BETWEEN = [["relu"], ["relu"], ["relu"], [], ["scale"], ["pool"], ["residual"], ["residual", "relu"]]
KINDS = ["relu", "convolve", "relu", "convolve", "pool", "residual", "relu", "connect", "pool", "single"]


def describe(pick: Pick, affine: bool = False, norms: Sequence[str] = tuple(RADII), tiny: bool = False) -> Case:
    """A case, each choice made by ``pick``.

    Args:
        affine: without ReLU and max-pool.
        tiny: at most 6 inputs and two blocks.
    """
    most = 2 if tiny else 4
    norm = pick(list(norms))
    deep = pick([False, False, True]) and not tiny  # windows that grow over several convolutions
    between = [kinds for kinds in BETWEEN if not (affine and {"relu", "pool"} & {*kinds})]
    if deep:
        plain = pick([False, True])
        kinds = ["convolve", *pick(between), "convolve", *pick(between), *(["convolve", *pick(between)] * plain)]
        stem = tuple(_block(pick, affine, only=kind, plain=plain) for kind in kinds)
    else:
        stem = _blocks(pick, pick([1, 1, 1, 0]), affine=True)
    return Case(
        shape=pick(SHAPES[:5] if tiny else SHAPES[-4:] if deep else SHAPES),
        stem=pick([(), (), (Single("normalise"),)]) + stem + _blocks(pick, pick(range(most)), affine),
        members=tuple(
            _blocks(pick, pick(range(most + 1)), affine) for _ in range(pick([1, 1, 1, 2] if tiny else [1, 1, 1, 2, 3]))
        ),
        classes=pick([2, 3, 5]),
        bare=pick([False, False, False, True]),
        numbers=Numbers(
            seed=pick(range(1000)),
            scale=pick([1.0, 1.0, 1.0, 2.0, 0.05, 30.0]),
            bias=pick([0.3, 0.0, 0.3, 3.0]),
            zeros=pick([0.0, 0.0, 0.3, 0.8]),
            grid=pick([False, False, True]),
            uneven=pick([False, False, True]),
            tied=pick([False, False, True]),
        ),
        norm=norm,
        eps=pick(RADII[norm]),
        clip=pick([False, True]),
        intersect=pick([False, False, True]),
    )


def _blocks(pick: Pick, count: int, affine: bool, inside: bool = False) -> tuple[Block, ...]:
    return tuple(_block(pick, affine, inside) for _ in range(count))


def _block(pick: Pick, affine: bool, inside: bool = False, only: str | None = None, plain: bool = False) -> Block:
    kind = only or pick([k for k in (AFFINE if affine else KINDS) if not (inside and k == "residual")])
    side, pair = [0, 0, 1, 2], lambda choices: (pick(choices), pick(choices))
    if kind == "convolve" and plain:  # as networks for images have it, for which the engine takes ways of its own
        before = pick([1, 0])
        return Convolve(pick([2, 1]), pair([3, 2]), pair([1, 1, 2]), (before, 1, before, 1), (1, 1), 1, bias=True)
    if kind == "convolve":
        return Convolve(
            channels=pick([1, 2, 3, 4]),
            kernel=pair([1, 2, 3, 4]),
            stride=pair([1, 1, 2, 3]),
            padding=(pick(side), pick(side), pick(side), pick(side)),
            dilation=pair([1, 1, 2]),
            groups=pick([1, 1, 2]),
            bias=pick([True, True, False]),
        )
    if kind == "connect":
        return Connect(pick([2, 3, 5, 8]), pick([True, False]), pick([True, True, False]))
    if kind == "pool":
        return Pool(pair([2, 1, 3]), pair([1, 2, 3]), pair([0, 1]))
    if kind == "residual":
        branches = tuple(_blocks(pick, pick(range(4)), affine, inside=True) for _ in range(pick([2, 2, 3])))
        if pick([False, False, True]):  # windows of one size in two places
            branches = (branches[0], tuple(_mirrored(block) for block in branches[0]))
        return Residual(branches, pick([1.0, 0.5, 1.5]))
    return Single(pick(SINGLES) if kind == "single" else kind)


def _mirrored(block: Block) -> Block:
    """A convolution with its padding on the other side; another block itself."""
    if not isinstance(block, Convolve):
        return block
    left, right, top, bottom = block.padding
    return replace(block, padding=(int(not left), right, int(not top), bottom))


@st.composite
def cases(draw: st.DrawFn, **options: Any) -> Case:
    """Hypothesis's strategy for :func:`describe`."""
    return describe(lambda choices: draw(st.sampled_from(choices)), **options)


def seeded(seed: int, **options: Any) -> Case:
    """The case of a seed."""
    return describe(random.Random(seed).choice, **options)


def examples(count: int) -> settings:
    """Hypothesis's settings of the suite: ``count`` examples, the same ones each time."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=slow)
