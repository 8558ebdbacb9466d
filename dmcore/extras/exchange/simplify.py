"""Pairs of layers that are one of ours: exporters write a bias, a normalisation or an average as several operators.

Bounds are the same without, but the layers of a network that was written and read again should be its own.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch import Tensor, nn

from dmcore.nets.layers import Conv, Linear, Normalize, Scale, Sum
from dmcore.nets.network import INPUT, Network


def simplify(net: Network) -> Network:
    """``net`` with such pairs merged, where nothing else reads what is between them; it shares the other layers."""
    readers = Counter(parent for parents in net.parents for parent in parents)
    simple, place = Network(), {INPUT: INPUT}
    for node in net.nodes():
        first, *others = (place[p] for p in node.parents)
        alone = readers[node.parents[0]] == 1 and first != INPUT
        before = simple.layers[first - 1] if alone else None
        if isinstance(before, Sum) and isinstance(node.layer, Sum) and before.scale == 1.0 and first == simple.output:
            simple.parents[-1] += tuple(others)
            simple.layers[-1] = node.layer
        elif before is not None and (merged := _merged(before, node.layer)) is not None:
            simple.layers[first - 1] = merged
        else:
            first = simple.add(node.layer, [first, *others])
        place[node.index] = first
    return simple


def _merged(before: Any, layer: Any) -> nn.Module | None:
    """One layer that does what the two do, if there is one."""
    if isinstance(before, Conv | Linear) and before.bias is None and _shifts(layer):
        bias = _bias(before, -layer.mean)
        if bias is not None:
            before.bias = nn.Parameter(bias)
            return before
    if _shifts(before) and isinstance(layer, Normalize) and not layer.mean.any():
        layer.mean = before.mean
        return layer
    if isinstance(before, Sum) and before.scale == 1.0 and isinstance(layer, Scale):
        factor = layer.factor.flatten()[0].item()
        return Sum(factor) if factor > 0 and bool((layer.factor == factor).all()) else None
    return None


def _shifts(layer: nn.Module) -> bool:
    """Whether a layer only subtracts."""
    return isinstance(layer, Normalize) and bool((layer.std == 1).all())


def _bias(layer: Conv | Linear, offset: Tensor) -> Tensor | None:
    """An offset of the layer's values, of as many axes as these, as its bias; None if it differs within a channel."""
    axis = 0 if isinstance(layer, Conv) else offset.dim() - 1
    if offset.numel() != offset.shape[axis]:
        return None
    return offset.flatten().expand(len(layer.weight)).contiguous()
