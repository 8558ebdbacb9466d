"""A network as a small graph of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmcore.errors import UserError
from dmcore.nets import layers
from dmcore.perturbation.inputs import misfit

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

    def nodes(self) -> Iterator[Node]:
        """The layers in topological order."""
        for index, (layer, parents) in enumerate(zip(self.layers, self.parents, strict=True), start=1):
            yield Node(index, layer, parents)

    def node(self, index: int) -> Node:
        """The layer whose output is node ``index`` ≥ 1."""
        return Node(index, self.layers[index - 1], self.parents[index - 1])

    def nonlinear_depth(self) -> list[int]:
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
            values = self.walk(apply, x[:1])
        except RuntimeError as error:
            raise misfit(x, error) from error
        self._shapes[like] = [tuple(v.shape[1:]) for v in values]
        return self._shapes[like]


def apply(layer: nn.Module, *inputs: Tensor) -> Tensor:
    """A layer's output; torch itself takes an image without a batch axis, and broadcasts a sum."""
    if isinstance(layer, layers.Conv | layers.MaxPool) and inputs[0].ndim != 4:
        shape = ("B", *inputs[0].shape[1:])
        raise UserError(
            f"a {type(layer).__name__} takes a batch of images (B, C, H, W), got ({', '.join(map(str, shape))}): "
            "x[None] is a batch of one image, x[:, None] gives images their channel"
        )
    if isinstance(layer, layers.Sum) and len({branch.shape[1:] for branch in inputs}) > 1:
        shapes = " and ".join(str(tuple(branch.shape[1:])) for branch in inputs)
        raise UserError(f"a sum of branches of different shapes, {shapes}, cannot be bounded: bring them to one shape")
    return layer(*inputs)
