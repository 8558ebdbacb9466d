"""Networks and inputs from their descriptions, and what kinds of layers a network has."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import torch
from soundness.descriptions import Block, Case, Connect, Convolve, Numbers, Pool, Residual, Single
from torch import Tensor, nn

from dmcore.nets import Network
from dmcore.nets.layers import Conv, Flatten, Linear, MaxPool, Normalize, ReLU, Scale, Sum
from dmcore.nets.network import INPUT

ROOM = 100  # positions of an image beyond which nothing is padded, so that no network grows large
VALUES = 160  # values of a node beyond which convolutions make one channel


def build(case: Case) -> Network:
    """The network of a description, in float64; all its numbers are float32's, too."""
    draw = Draw(case.numbers)
    stem = Assembly(Network(), INPUT, case.shape, draw)
    for block in case.stem:
        stem.put(block)
    heads = []
    for blocks in case.members:
        member = Assembly(stem.net, stem.at, stem.shape, draw)
        for block in blocks:
            member.put(block)
        member.flatten()
        if not (case.bare and len(case.members) == 1 and member.at != INPUT and 2 <= member.shape[0] <= 6):
            member.connect(case.classes, bias=True)
        heads.append(member.at)
    if len(heads) > 1:
        stem.net.add(Sum(1 / len(heads)), heads)
    return stem.net.requires_grad_(False)


def pixels(case: Case, count: int) -> Tensor:
    """Inputs (count, *shape) in [0, 1], some pixels exactly 0 or 1; float64, but float32's numbers."""
    generator = torch.Generator().manual_seed(case.numbers.seed)
    x = (torch.rand(count, *case.shape, generator=generator) * 1.4 - 0.2).clamp(0, 1).double()
    return (4 * x).round() / 4 if case.numbers.grid else x


class Draw:
    """Random weights."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers, self.generator = numbers, torch.Generator().manual_seed(numbers.seed)
        self.made: dict[tuple[int, ...], nn.Parameter] = {}

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self.generator).double()

    def share(self, share: float, *shape: int) -> Tensor:
        """True for about ``share`` of the entries."""
        return torch.rand(shape, generator=self.generator) < share

    def fill(self, layer: Conv | Linear) -> Conv | Linear:
        """Gives a layer its weights."""
        shape, n = tuple(layer.weight.shape), self.numbers
        if not (n.tied and shape in self.made):
            weight = self.normal(*shape) * n.scale / math.sqrt(layer.weight[0].numel())
            if n.uneven:
                weight[self.share(0.3, shape[0])] *= 1e-3
            self.made[shape] = self.parameter(weight.masked_fill(self.share(n.zeros, *shape), 0))
        layer.weight = self.made[shape]
        if layer.bias is not None:
            layer.bias = self.parameter(self.normal(shape[0]) * n.bias * n.scale)
        return layer

    def parameter(self, values: Tensor) -> nn.Parameter:
        """``values``, on the grid where there is one."""
        return nn.Parameter((2 * values).round() / 2 if self.numbers.grid else values.float().double())


class Assembly:
    """Appends blocks to a network, as far as they fit."""

    def __init__(self, net: Network, at: int, shape: tuple[int, ...], draw: Draw) -> None:
        self.net, self.at, self.shape, self.draw = net, at, tuple(shape), draw

    def add(self, layer: nn.Module, *others: int) -> None:
        """Appends a layer fed by the current node and ``others``, of the same shape."""
        layer = layer.double()
        self.at = self.net.add(layer, [self.at, *others])
        value = torch.zeros(1, *self.shape, dtype=torch.float64)
        self.shape = tuple(layer(*[value] * (1 + len(others))).shape[1:])

    def put(self, block: Block, same: bool = False) -> None:
        """Appends a block, one that keeps the shape if ``same``."""
        if isinstance(block, Convolve):
            self.convolve(block, same)
        elif isinstance(block, Connect):
            if block.flatten and not same:
                self.flatten()
            self.connect(self.shape[-1] if same else block.units, block.bias)
        elif isinstance(block, Pool):
            self.pool(block, same)
        elif isinstance(block, Residual):
            self.residual(block)
        else:
            self.single(block)

    def flatten(self) -> None:
        """A flatten, where there is something to flatten."""
        if len(self.shape) > 1:
            self.add(Flatten())

    def connect(self, units: int, bias: bool) -> None:
        """A fully connected layer on the last axis."""
        self.add(self.draw.fill(Linear(self.shape[-1], units, bias)))

    def convolve(self, b: Convolve, same: bool) -> None:
        """A convolution, its window cut to the image."""
        if len(self.shape) != 3:
            self.connect(self.shape[-1] if same else b.channels, b.bias)
            return
        channels, height, width = self.shape
        dilation = b.dilation
        if same:
            tall, wide = ((k - 1) * d for k, d in zip(b.kernel, dilation, strict=True))
            left, top = (
                math.ceil(n / 2) if early else n // 2 for n, early in zip((wide, tall), b.padding[::2], strict=True)
            )
            kernel, stride, padding = b.kernel, (1, 1), (left, wide - left, top, tall - top)
        else:
            padding = b.padding if height * width <= ROOM else (0, 0, 0, 0)
            room = (height + padding[2] + padding[3], width + padding[0] + padding[1])
            kernel = tuple(min(k, (n - 1) // d + 1) for k, n, d in zip(b.kernel, room, dilation, strict=True))
            stride = b.stride
        out = channels if same else b.channels if height * width * b.channels <= VALUES else 1
        groups = b.groups if channels % b.groups == 0 and out % b.groups == 0 else 1
        self.add(self.draw.fill(Conv(channels, out, kernel, stride, padding, dilation, groups, b.bias)))

    def pool(self, b: Pool, same: bool) -> None:
        """A max-pool; nothing where the node is no image."""
        if len(self.shape) != 3:
            return
        if same:
            self.add(MaxPool((3, 3), (1, 1), (1, 1)))
            return
        kernel = tuple(min(k, n) for k, n in zip(b.kernel, self.shape[1:], strict=True))
        padding = tuple(min(p, k // 2) for p, k in zip(b.padding, kernel, strict=True))
        self.add(MaxPool(kernel, b.stride, padding))

    def single(self, b: Single) -> None:
        """A layer that keeps the shape."""
        if b.kind == "relu":
            self.add(ReLU())
        elif b.kind == "normalise" and len(self.shape) == 3:
            count = self.shape[0]
            self.add(Normalize(self.draw.normal(count).tolist(), (0.2 + self.draw.normal(count).abs()).tolist()))
        elif b.kind == "scale":
            self.add(Scale(self.draw.normal(*self.shape) * ~self.draw.share(0.2, *self.shape)))
        elif b.kind == "mask":
            parent, shape = self.at, self.shape
            self.add(ReLU())
            self.add(Scale(self.draw.share(0.5, *shape).double()))
            passed = self.net.add(Scale(self.draw.share(0.5, *shape).double()), [parent])
            self.add(Sum(), passed)

    def residual(self, b: Residual) -> None:
        """A sum of branches."""
        ends = []
        for blocks in b.branches:
            branch = Assembly(self.net, self.at, self.shape, self.draw)
            for block in blocks:
                branch.put(block, same=True)
            ends.append(branch.at)
        self.at, *others = ends
        self.add(Sum(b.scale), *others)


def kinds(net: Network) -> Counter[str]:
    """How often each kind of layer, and each neighbourhood that a domain could get wrong, is in a network."""
    return Counter(_kinds(net))


def _kinds(net: Network) -> Iterator[str]:
    before: dict[int, nn.Module | None] = {INPUT: None}
    for node in net.nodes():
        before[node.index] = node.layer
        layer, parents = node.layer, [before[p] for p in node.parents]
        yield type(layer).__name__
        if isinstance(layer, Conv):
            left, right, top, bottom = layer.padding
            yield from ["Conv, strided"] * (max(layer.stride) > 1)
            yield from ["Conv, stride > kernel"] * (
                layer.stride[0] > layer.kernel[0] or layer.stride[1] > layer.kernel[1]
            )
            yield from ["Conv, padded"] * (max(layer.padding) > 0)
            yield from ["Conv, padded unevenly"] * (left != right or top != bottom)
            yield from ["Conv, dilated"] * (max(layer.dilation) > 1)
            yield from ["Conv, grouped"] * (layer.groups > 1)
        if isinstance(layer, Conv | Linear) and isinstance(parents[0], Conv | Linear):
            yield "affine after affine"
        if isinstance(layer, MaxPool):
            yield from ["MaxPool, stride ≠ kernel"] * (layer.stride != layer.kernel)
            yield from ["MaxPool, padded"] * (max(layer.padding) > 0)
            yield from ["MaxPool after MaxPool"] * isinstance(parents[0], MaxPool)
            yield from ["MaxPool on the input"] * (parents[0] is None)
        if isinstance(layer, ReLU):
            yield from ["ReLU after MaxPool"] * isinstance(parents[0], MaxPool)
            yield from ["ReLU on the input"] * (parents[0] is None)
        if isinstance(layer, Sum):
            yield from ["Sum, scaled"] * (layer.scale != 1)
            yield from ["Sum of a node with itself"] * (len(set(node.parents)) < len(node.parents))
    weights = [layer.weight for layer in net.layers if isinstance(layer, Conv | Linear)]
    yield from ["tied weights"] * (len({id(w) for w in weights}) < len(weights))
    yield from ["no non-linear layer"] * (not any(isinstance(layer, ReLU | MaxPool) for layer in net.layers))
    yield from ["two or more non-linear layers"] * (sum(isinstance(layer, ReLU | MaxPool) for layer in net.layers) > 1)
