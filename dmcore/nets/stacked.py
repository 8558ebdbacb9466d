"""Networks of one architecture as one: a batch of N parts, each of which passes the weights of its own network.

On a GPU the kernels of N small networks take hardly longer than those of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmcore.nets.layers import Affine, Conv, Linear
from dmcore.nets.network import Network


def stacked(nets: Sequence[Network]) -> Network:
    """A network for inputs (N·B, *in_shape) whose i-th B pass the i-th of N networks; gradients reach their weights.

    It holds the weights as they are now. What asks for a transpose does not work on it: norms other than ℓ∞, CROWN.
    """
    net = Network()
    for layers, parents in zip(zip(*(member.layers for member in nets), strict=True), nets[0].parents, strict=True):
        net.add(_side_by_side(layers), parents)
    return net


def _side_by_side(layers: Sequence[Any]) -> nn.Module:
    first = layers[0]
    if not isinstance(first, Affine) or not any(True for _ in first.parameters()):
        return first
    if isinstance(first, Linear):
        return StackedLinear(layers)
    if isinstance(first, Conv) and first.groups == 1 and first.dilation == (1, 1):
        return StackedConv(layers)
    return Stacked(layers)


class Stacked(Affine):
    """N layers of one kind, each for its part of the batch, one after the other."""

    def __init__(self, layers: Sequence[Affine]) -> None:
        super().__init__()
        self.members = list(layers)

    def linear(self, x: Tensor) -> Tensor:
        return self._each([layer.linear for layer in self.members], x)

    def magnitude(self, r: Tensor) -> Tensor:
        return self._each([layer.magnitude for layer in self.members], r)

    def forward(self, x: Tensor) -> Tensor:
        return self._each(self.members, x)

    def _each(self, work: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
        return torch.cat([own(part) for own, part in zip(work, x.chunk(len(work)), strict=True)])


class StackedProduct(Affine):
    """N layers of one kind as one product of N matrices.

    Attributes:
        weight: (N, inputs, outputs).
        bias: (N, 1, outputs), or None.
    """

    bias: Tensor | None

    def __init__(self, layers: Sequence[Linear] | Sequence[Conv]) -> None:
        super().__init__()
        self.weight = torch.stack([layer.weight.flatten(1) for layer in layers]).mT
        biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
        self.bias = torch.stack(biases)[:, None] if biases else None

    def linear(self, x: Tensor) -> Tensor:
        return self._product(x, self.weight, None)

    def magnitude(self, r: Tensor) -> Tensor:
        return self._product(r, self.weight.abs(), None)

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x, self.weight, self.bias)

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        raise NotImplementedError


class StackedLinear(StackedProduct):
    """N fully connected layers."""

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _multiply(x.unflatten(0, (len(weight), -1)), weight, bias).flatten(0, 1)


class StackedConv(StackedProduct):
    """N convolutions, as products over the windows: cuDNN's repeatable gradients of grouped weights are slow."""

    def __init__(self, layers: Sequence[Conv]) -> None:
        super().__init__(layers)
        self.kernel, self.stride, self.padding = layers[0].kernel, layers[0].stride, layers[0].padding

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        (kh, kw), (sh, sw) = self.kernel, self.stride
        windows = F.pad(x, self.padding).unfold(2, kh, sh).unfold(3, kw, sw).permute(0, 2, 3, 1, 4, 5)
        rows = windows.flatten(3).unflatten(0, (len(weight), -1)).flatten(1, 3)
        out = _multiply(rows, weight, bias)
        return out.reshape(*windows.shape[:3], -1).permute(0, 3, 1, 2)


def _multiply(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return rows @ weight if bias is None else torch.baddbmm(bias, rows, weight)
