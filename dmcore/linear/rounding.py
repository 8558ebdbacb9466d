"""How much floating point may err, bounded in advance: the constants that bounds of all kinds share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dmcore.nets.layers import Affine
from dmcore.nets.network import Network, Node

EXTRA_ROUNDINGS = 8
"""More roundings than any value meets besides those of the sums counted: casts, slopes, halves, a bias."""


def gamma(count: int, dtype: torch.dtype) -> float:
    """γ_n = n u / (1 − n u): the relative error of a sum of n numbers, in any order, is at most γ of their sizes."""
    product = count * torch.finfo(dtype).eps / 2
    return product / (1 - product) if product < 1 else torch.inf


class _NextAfter(torch.autograd.Function):
    """torch.nextafter, which had no gradient in older versions: one step is a constant."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, towards: Tensor) -> Tensor:
        return torch.nextafter(t, towards)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


def outward(t: Tensor, dtype: torch.dtype, sign: int) -> Tensor:
    """t in ``dtype``, rounded down (sign −1) or up (+1)."""
    if t.dtype == dtype:
        return t
    rounded = t.to(dtype)
    beyond = _NextAfter.apply(rounded, torch.tensor(sign * torch.inf, dtype=dtype, device=t.device))
    return torch.where(rounded > t if sign < 0 else rounded < t, beyond, rounded)


def operations(node: Node) -> int:
    """How many numbers at most go into one output of a layer, or into one coefficient."""
    return max(node.layer.terms()) if isinstance(node.layer, Affine) else len(node.parents)


def roundings(net: Network) -> list[int]:
    """For each node, how many roundings at most its values have met, those of all layers before it included."""
    counts = [EXTRA_ROUNDINGS]
    for node in net.nodes():
        counts.append(max(counts[parent] for parent in node.parents) + operations(node) + EXTRA_ROUNDINGS)
    return counts
