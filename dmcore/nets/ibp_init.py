"""The initialisation of Shi et al. (2021), under which interval bounds keep their width from layer to layer."""

from __future__ import annotations

import math

import torch

from dmcore.nets.layers import Conv, Linear, ReLU, Sum
from dmcore.nets.network import INPUT, Network


@torch.no_grad()
def ibp_init(net: Network) -> Network:
    """``net`` with fresh weights from N(0, σ²), σ = √(2π)/fan-in, in all layers but the last; biases stay.

    Σ|w| of a row is then 2 on average, which makes up for the half of a half-width that a ReLU takes. Behind a residual
    sum it is 1. The last layers, of an ensemble as many as it has members, are those that no other weights follow.
    """
    followed = [False] * (net.output + 1)
    for node in reversed(list(net.nodes())):
        for parent in node.parents:
            followed[parent] |= followed[node.index] or isinstance(node.layer, Conv | Linear)
    for node in net.nodes():
        if isinstance(node.layer, Conv | Linear) and followed[node.index]:
            weight = node.layer.weight
            weight.normal_(0, math.sqrt(2 * math.pi) / weight[0].numel())
            if _is_sum(net, node.parents[0]):
                weight /= 2
    return net


def _is_sum(net: Network, index: int) -> bool:
    """Whether a node is a sum of branches, or a ReLU of one."""
    if index != INPUT and isinstance(net.node(index).layer, ReLU):
        (index,) = net.node(index).parents
    return index != INPUT and isinstance(net.node(index).layer, Sum)
