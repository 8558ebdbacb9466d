"""The architectures written out, layer by layer: the page of architectures."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from dmcore.nets.builder import build_net
from dmcore.nets.layers import Conv, Flatten, Linear, MaxPool, ReLU
from dmcore.nets.network import INPUT, Network, Shape
from dmcore.registries import architecture
from doublemargin.markdown import table

INPUTS: tuple[tuple[Shape, int], ...] = (((1, 28, 28), 10), ((3, 32, 32), 10), ((3, 32, 32), 43))
"""(in_shape, classes) of MNIST, CIFAR-10 and GTSRB."""

INTRODUCTION = """# Architectures

Written from the code. [What the paper leaves open](../design.md#what-the-paper-leaves-open) says how the gaps of its
Appendix G were filled.

Sizes are channels × height × width. Convolutions and max-poolings are written kernel/stride; padding is what each side
gets, or (before, after) where the two differ. All affine layers have a bias. A data set with normalisation has one more
layer in front, which has nothing to train. The tables are for 10 classes; with 43 only the last layer differs.

`cnn7` is not the paper's: [today's methods](../methods.md#networks-with-batchnorm) are compared on it. In training it
has a BatchNorm behind each layer but the last; here they are in the weights.
"""


def page() -> str:
    """The page in Markdown."""
    names = architecture.names()
    return "\n".join([INTRODUCTION, _overview(names), *(_layers(name) for name in names)])


def _overview(names: Iterable[str]) -> str:
    rows = []
    for name in names:
        for in_shape, classes in INPUTS:
            net = _net(name, in_shape, classes)
            rows.append(
                [f"`{name}`", _size(in_shape), str(classes), _count(_parameters(net)), _count(_relus(net, in_shape))]
            )
    return table(["architecture", "input", "classes", "parameters", "ReLUs"], rows)


def _layers(name: str) -> str:
    """One architecture's table, its two input sizes side by side."""
    in_shapes = list(dict.fromkeys(in_shape for in_shape, _ in INPUTS))
    nets = [_net(name, in_shape, 10) for in_shape in in_shapes]
    shapes = [_shapes(net, in_shape) for net, in_shape in zip(nets, in_shapes, strict=True)]
    head, rows = ["node", "layer", "reads"], []
    for in_shape in in_shapes:
        head += [f"{_size(in_shape)}: padding", "output", "parameters"]
    for node in nets[0].nodes():
        reads = ", ".join("input" if p == INPUT else str(p) for p in node.parents)
        row = [str(node.index), _kind(node.layer), reads]
        for net, sizes in zip(nets, shapes, strict=True):
            layer = net.node(node.index).layer
            row += [_padding(layer), _size(sizes[node.index]), _count(_parameters(layer)) if _parameters(layer) else ""]
        rows.append(row)
    total = ["", "total", ""]
    for net in nets:
        total += ["", "", _count(_parameters(net))]
    return f"## `{name}`\n\n{table(head, [*rows, total])}"


def _kind(layer: nn.Module) -> str:
    if isinstance(layer, Conv):
        return f"convolution {_size(layer.kernel)}/{layer.stride[0]}, {layer.weight.shape[0]} filters"
    if isinstance(layer, MaxPool):
        return f"max-pooling {_size(layer.kernel)}/{layer.stride[0]}"
    if isinstance(layer, Linear):
        return "fully connected"
    return {ReLU: "ReLU", Flatten: "flatten"}.get(type(layer), "sum")


def _padding(layer: nn.Module) -> str:
    if not isinstance(layer, Conv):
        return ""
    left, right, top, bottom = layer.padding
    assert (left, right) == (top, bottom), "the page has one padding for both axes"
    return str(left) if left == right else f"({left}, {right})"


def _net(name: str, in_shape: Shape, classes: int) -> Network:
    """The network without numbers: its shapes are all that counts here."""
    with torch.device("meta"):
        return build_net(name, in_shape, classes)


def _shapes(net: Network, in_shape: Shape) -> list[Shape]:
    return net.shapes(torch.zeros(1, *in_shape, device="meta"))


def _relus(net: Network, in_shape: Shape) -> int:
    shapes = _shapes(net, in_shape)
    return sum(torch.Size(shapes[n.index]).numel() for n in net.nodes() if isinstance(n.layer, ReLU))


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape))


def _count(number: int) -> str:
    return f"{number:,}"
