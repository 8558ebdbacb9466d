"""Random layers for small networks, each choice made by hypothesis, which can shrink it, or from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dmcore.nets import Network
from dmcore.nets.layers import Conv, Flatten, Linear, MaxPool, Normalize, ReLU, Scale, Sum

Pick = Callable[[Sequence[Any]], Any]
"""Takes one of some choices, of which the first is the simplest."""

AFFINE = ["convolve", "convolve", "connect", "residual", "scale", "normalise"]
KINDS = ["relu", "convolve", "relu", "convolve", "pool", "residual", "relu", "connect", "pool", "scale", "mask"]
BETWEEN = [["relu"], ["relu"], ["relu"], [], ["scale"], ["pool"], ["residual"], ["residual", "relu"]]
ROOM = 100  # positions of an image beyond which nothing is padded, so that no network grows large
VALUES = 160  # values of a node beyond which convolutions make one channel


class Weights:
    """Random numbers, of several kinds."""

    def __init__(self, pick: Pick) -> None:
        self.generator = torch.Generator().manual_seed(pick(range(1000)))
        self.scale = pick([1.0, 1.0, 1.0, 2.0, 0.05, 30.0])  # over that at which the values keep their size
        self.bias = pick([0.3, 0.0, 0.3, 3.0])  # large ones leave ReLUs dead or always active
        self.zeros = pick([0.0, 0.0, 0.3, 0.8])  # share of weights that are exactly 0
        self.grid = pick([False, False, True])  # multiples of ½, so that values and bounds coincide exactly
        self.uneven = pick([False, False, True])  # some outputs of a layer are a thousandth of the others
        self.tied = pick([False, False, True])  # all weights of one shape are one tensor
        self.made: dict[tuple[int, ...], nn.Parameter] = {}

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self.generator).double()

    def share(self, share: float, *shape: int) -> Tensor:
        """True for about ``share`` of the entries."""
        return torch.rand(shape, generator=self.generator) < share

    def fill(self, layer: Conv | Linear) -> Conv | Linear:
        """Gives a layer its weights."""
        shape = tuple(layer.weight.shape)
        if not (self.tied and shape in self.made):
            weight = self.normal(*shape) * self.scale / math.sqrt(layer.weight[0].numel())
            if self.uneven:
                weight[self.share(0.3, shape[0])] *= 1e-3
            self.made[shape] = self._parameter(weight.masked_fill(self.share(self.zeros, *shape), 0))
        layer.weight = self.made[shape]
        if layer.bias is not None:
            layer.bias = self._parameter(self.normal(shape[0]) * self.bias * self.scale)
        return layer

    def _parameter(self, values: Tensor) -> nn.Parameter:
        return nn.Parameter((2 * values).round() / 2 if self.grid else values.float().double())


class Branch:
    """Where random layers are appended to a network, as far as they fit.

    Attributes:
        affine: without ReLU and max-pool.
        same: each layer keeps the shape: a convolution is "same", its odd padding before or after, a pool 3×3/1.
        flipped: odd padding goes to the other side.
        plain: convolutions are as networks for images have them, for which the engine takes ways of its own.
    """

    def __init__(self, pick: Pick, weights: Weights, net: Network, at: int, shape: Sequence[int], affine: bool) -> None:
        self.pick, self.weights, self.net, self.at, self.shape = pick, weights, net, at, tuple(shape)
        self.affine = affine
        self.same = self.flipped = self.plain = False

    def branched(self) -> Branch:
        """Another branch from here."""
        return Branch(self.pick, self.weights, self.net, self.at, self.shape, self.affine)

    def add(self, layer: nn.Module, *others: int) -> None:
        """Appends a layer fed by the current node and ``others``, of the same shape."""
        layer = layer.double()
        self.at = self.net.add(layer, [self.at, *others])
        value = torch.zeros(1, *self.shape, dtype=torch.float64)
        self.shape = tuple(layer(*[value] * (1 + len(others))).shape[1:])

    def put(self, *kinds: str) -> None:
        """Appends a layer or block of each kind."""
        for kind in kinds:
            getattr(self, kind)()

    def grow(self, kinds: Sequence[str], count: int) -> None:
        """Appends some random ones."""
        self.put(*(self.pick(kinds) for _ in range(count)))

    def pair(self, choices: Sequence[int]) -> tuple[int, int]:
        """Two numbers."""
        return self.pick(choices), self.pick(choices)

    def flatten(self) -> None:
        """A flatten, where there is something to flatten."""
        if len(self.shape) > 1:
            self.add(Flatten())

    def connect(self, units: int | None = None, bias: bool | None = None) -> None:
        """A fully connected layer, on the last axis or after a flatten."""
        if units is None:
            if not self.same and self.pick([True, False]):
                self.flatten()
            units = self.shape[-1] if self.same else self.pick([2, 3, 5, 8])
        bias = self.pick([True, True, False]) if bias is None else bias
        self.add(self.weights.fill(Linear(self.shape[-1], units, bias)))

    def convolve(self) -> None:
        """A convolution, its window cut to the image; a fully connected layer where there is none."""
        if len(self.shape) != 3:
            self.connect()
            return
        channels, height, width = self.shape
        out, groups, bias = self.pick([1, 2, 3, 4]), self.pick([1, 1, 2]), self.pick([True, True, False])
        kernel, stride, dilation = self.pair([1, 2, 3, 4]), self.pair([1, 1, 2, 3]), self.pair([1, 1, 2])
        early = self.pick([0, 1]), self.pick([0, 1])
        left, right, top, bottom = (*early, *self.pair([0, 0, 1, 2])) if height * width <= ROOM else (0, 0, 0, 0)
        if self.plain:
            out, groups, bias, stride, dilation = self.pick([2, 1]), 1, True, self.pair([1, 1, 2]), (1, 1)
            kernel, (left, right, top, bottom) = self.pair([3, 2]), (early[0], 1, early[0], 1)
        if self.same:
            out, stride = channels, (1, 1)
            tall, wide = ((k - 1) * d for k, d in zip(kernel, dilation, strict=True))
            left, top = ((n + (odd ^ self.flipped)) // 2 for n, odd in zip((wide, tall), early, strict=True))
            right, bottom = wide - left, tall - top
        room = height + top + bottom, width + left + right
        kernel = tuple(min(k, (n - 1) // d + 1) for k, n, d in zip(kernel, room, dilation, strict=True))
        out = out if self.same or height * width * out <= VALUES else 1
        groups = groups if channels % groups == 0 and out % groups == 0 else 1
        padding = left, right, top, bottom
        self.add(self.weights.fill(Conv(channels, out, kernel, stride, padding, dilation, groups, bias)))

    def pool(self) -> None:
        """A max-pool; nothing where the node is no image."""
        if len(self.shape) != 3:
            return
        kernel = tuple(min(k, n) for k, n in zip(self.pair([2, 1, 3]), self.shape[1:], strict=True))
        padding = tuple(min(p, k // 2) for p, k in zip(self.pair([0, 1]), kernel, strict=True))
        self.add(MaxPool((3, 3), (1, 1), (1, 1)) if self.same else MaxPool(kernel, self.pair([1, 2, 3]), padding))

    def relu(self) -> None:
        """A ReLU."""
        self.add(ReLU())

    def normalise(self) -> None:
        """A normalisation of channels."""
        if len(self.shape) == 3:
            std = 0.2 + self.weights.normal(self.shape[0]).abs()
            self.add(Normalize(self.weights.normal(self.shape[0]).tolist(), std.tolist()))

    def scale(self) -> None:
        """Fixed factors, a fifth of them 0."""
        self.add(Scale(self.weights.normal(*self.shape) * ~self.weights.share(0.2, *self.shape)))

    def mask(self) -> None:
        """A ReLU of which some are pruned."""
        parent, keep, passed = self.at, *(Scale(self.weights.share(0.5, *self.shape).double()) for _ in range(2))
        self.relu()
        self.add(keep)
        self.add(Sum(), self.net.add(passed, [parent]))

    def residual(self) -> None:
        """A sum of branches that keep the shape; one without layers is the identity."""
        kinds = [kind for kind in (AFFINE if self.affine else KINDS) if kind != "residual"]
        mirrored = self.pick([False, False, True])  # windows of one size in two places
        ends, taken = [], []
        for number in range(2 if mirrored else self.pick([2, 2, 3])):
            branch = self.branched()
            branch.same, branch.flipped = True, mirrored and number == 1
            replayed = iter(taken)
            branch.pick = (lambda _, again=replayed: next(again)) if branch.flipped else self._kept(taken)
            branch.grow(kinds, branch.pick(range(4)))
            ends.append(branch.at)
        self.at, *others = ends
        self.add(Sum(self.pick([1.0, 0.5, 1.5])), *others)

    def _kept(self, taken: list[Any]) -> Pick:
        """The same choices, which go into a list, too."""

        def pick(choices: Sequence[Any]) -> Any:
            taken.append(self.pick(choices))
            return taken[-1]

        return pick
