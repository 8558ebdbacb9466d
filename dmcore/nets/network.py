"""A network as a small graph of layers, and the reading of a plain ``torch.nn.Sequential`` as one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmcore.errors import UserError
from dmcore.nets import layers

Shape = tuple[int, ...]
INPUT = 0  # the node that holds the network's input


@dataclass(frozen=True)
class Node:
    """One layer of a network: ``index`` is its output's, ``parents`` are its inputs' nodes."""

    index: int
    layer: nn.Module
    parents: tuple[int, ...]


class Network(nn.Module):
    """Layers in topological order; node 0 is the input, node i the output of the i-th layer.

    Build one with :meth:`add` (each call returns the new node, which later layers name as a parent)::

        net = Network()
        trunk = net.add(conv)                      # parent: the last node
        skip = net.add(Sum(), [net.add(ReLU()), trunk])
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        self.parents: list[tuple[int, ...]] = []
        self._shapes: dict[tuple, list[Shape]] = {}

    def add(self, layer: nn.Module, parents: Sequence[int] | None = None) -> int:
        """Appends a layer fed by ``parents`` (by default the last node) and returns its node."""
        self.layers.append(layer)
        self._shapes.clear()
        self.parents.append(tuple(parents) if parents is not None else (len(self.parents),))
        return len(self.parents)

    @property
    def output(self) -> int:
        """The node of the logits."""
        return len(self.parents)

    def frozen(self) -> Network:
        """A copy whose weights never change again, so that its layers may keep what they work out of them."""
        copied = copy.deepcopy(self).requires_grad_(False)
        for layer in copied.layers:
            layer.frozen = True
        return copied

    def nodes(self) -> Iterator[Node]:
        """The layers in topological order."""
        for index, (layer, parents) in enumerate(zip(self.layers, self.parents, strict=True), start=1):
            yield Node(index, layer, parents)

    def node(self, index: int) -> Node:
        """The layer whose output is node ``index`` ≥ 1."""
        return Node(index, self.layers[index - 1], self.parents[index - 1])

    def bends(self) -> list[int]:
        """For each node, how many non-linear layers come before it on the longest way from the input, its own too."""
        count = [0]
        for node in self.nodes():
            count.append(max(count[p] for p in node.parents) + isinstance(node.layer, layers.Nonlinear))
        return count

    def walk(self, step: Callable[..., object], start: object) -> list:
        """Carries values through the graph: ``step(layer, *inputs)`` gives a node's value; returns every node's."""
        values = [start]
        for node in self.nodes():
            values.append(step(node.layer, *(values[p] for p in node.parents)))
        return values

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of inputs (B, *in_shape)."""
        return self.walk(lambda layer, *inputs: layer(*inputs), x)[-1]

    @torch.no_grad()
    def shapes(self, x: Tensor) -> list[Shape]:
        """Every node's shape without the batch axis, for inputs like x.

        Raises:
            UserError: x has a shape or dtype that the network does not take.
        """
        like = (tuple(x.shape[1:]), x.dtype, x.device)
        if like in self._shapes:
            return self._shapes[like]
        try:
            values = self.walk(_on_images, x[:1])
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"input {tuple(x.shape)} {x.dtype} does not fit the network: {reason}") from error
        self._shapes[like] = [tuple(v.shape[1:]) for v in values]
        return self._shapes[like]


def _on_images(layer: nn.Module, *inputs: Tensor) -> Tensor:
    """A layer's output; torch itself would take an image without a batch axis."""
    if isinstance(layer, layers.Conv | layers.MaxPool) and inputs[0].ndim != 4:
        shape = ("B", *inputs[0].shape[1:])
        raise UserError(
            f"a {type(layer).__name__} takes a batch of images (B, C, H, W), got ({', '.join(map(str, shape))}): "
            "x[None] is a batch of one image, x[:, None] gives images their channel"
        )
    return layer(*inputs)


def as_network(net: nn.Module) -> Network:
    """``net`` as a graph: a :class:`Network` as it is, a plain ``nn.Sequential`` read layer by layer.

    The graph shares the Sequential's parameters; nothing is copied.

    Raises:
        UserError: names the layer that no domain knows how to pass.
    """
    if not isinstance(net, Network | nn.Sequential) or _computes_its_own_way(net):
        raise UserError(f"cannot bound a {type(net).__name__}: pass a dmcore network or a plain torch.nn.Sequential")
    if torch.nn.modules.module._global_forward_hooks or torch.nn.modules.module._global_forward_pre_hooks:
        raise UserError("torch has hooks for all modules' forward, which may change what the network computes")
    _refuse_hooks("the network", net)
    if isinstance(net, Network):
        for index, layer in enumerate(net.layers):
            _refuse_hooks(f"layer {index}", layer)
        return net
    graph = Network()
    for name, module in _leaves(net, prefix=""):
        layer = _convert(name, module)
        if layer is not None:
            graph.add(layer)
    if not graph.parents:
        raise UserError("cannot bound an empty torch.nn.Sequential")
    return graph.train(net.training)


def _leaves(net: nn.Sequential, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    # Not named_children(): that skips a module that stands in the Sequential twice, as one nn.ReLU() often does.
    for name, module in net._modules.items():
        _refuse_hooks(f"layer {prefix}{name}", module)
        if isinstance(module, nn.Sequential) and not _computes_its_own_way(module):
            yield from _leaves(module, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", module


CALLED = {
    "forward",
    "__call__",
    "_call_impl",
    "_wrapped_call_impl",
    "__iter__",
    "__getattr__",
    "__getattribute__",
    "walk",
}
"""What calling a module calls: a class that defines one of these for itself may compute anything."""


def _computes_its_own_way(net: nn.Module) -> bool:
    """Whether the class of a Network or Sequential changes what calling it does."""
    ours = type(net).__mro__[: type(net).__mro__.index(Network if isinstance(net, Network) else nn.Sequential)]
    return any(CALLED & vars(kind).keys() for kind in ours)


def _refuse_hooks(what: str, module: nn.Module) -> None:
    if module._forward_hooks or module._forward_pre_hooks or CALLED & vars(module).keys():
        raise UserError(f"{what} ({type(module).__name__}) has hooks, which may change what it computes")


def _convert(name: str, module: nn.Module) -> nn.Module | None:
    """One module of a plain Sequential as a layer of ours; None for one that does nothing in evaluation."""
    kind = type(module)
    if kind in (layers.Conv, layers.Linear, layers.Normalize, layers.ReLU, layers.MaxPool, layers.Flatten):
        return module
    if kind is nn.Conv2d:
        return _convert_conv(name, module)
    if kind is nn.Linear:
        return _sharing(layers.Linear.__new__(layers.Linear), module)
    if kind is nn.ReLU:
        return layers.ReLU()
    if kind is nn.MaxPool2d:
        if module.ceil_mode or module.return_indices or _pair(module.dilation) != (1, 1):
            raise UserError(f"layer {name} ({module}): ceil_mode, dilation and return_indices cannot be bounded")
        return layers.MaxPool(_pair(module.kernel_size), _pair(module.stride), _pair(module.padding))
    if kind is nn.Flatten:
        if (module.start_dim, module.end_dim) != (1, -1):
            raise UserError(f"layer {name} ({module}): only a Flatten of everything but the batch axis is known")
        return layers.Flatten()
    if kind is nn.Identity:
        return None
    raise UserError(
        f"layer {name} ({kind.__name__}) cannot be bounded; known layers: Conv2d, Linear, ReLU, MaxPool2d, Flatten"
    )


def _convert_conv(name: str, conv: nn.Conv2d) -> layers.Conv:
    if conv.padding_mode != "zeros":
        raise UserError(f"layer {name} ({conv}): padding_mode '{conv.padding_mode}' cannot be bounded, only 'zeros'")
    layer = _sharing(layers.Conv.__new__(layers.Conv), conv)
    # torch keeps the padding it resolved ('same', 'valid', or numbers) in F.pad's order.
    layer.padding = tuple(conv._reversed_padding_repeated_twice)
    layer.stride, layer.dilation, layer.groups = _pair(conv.stride), _pair(conv.dilation), conv.groups
    return layer


def _sharing(layer: nn.Module, source: nn.Module) -> nn.Module:
    """Makes ``layer``, made without parameters of its own, use those of ``source``."""
    nn.Module.__init__(layer)
    layer.weight, layer.bias = source.weight, source.bias
    return layer


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
