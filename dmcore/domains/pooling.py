"""Max-pooling of several tensors with the same windows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from dmcore.fusion import fusible, fusing
from dmcore.nets.layers import MaxPool

R = TypeVar("R", bound=tuple[Tensor, ...])
Parts = tuple[Tensor, ...]
"""A tensor to be pooled: as it is, or, where kernels are fused, the entries of each window one by one."""
Pooling = Callable[[Parts], Tensor]


def poolable(rule: Callable[..., R]) -> Callable[..., R]:
    """Of ``rule(pooling, *parts)`` a function of a layer and of tensors, or what is none: one kernel under a fusion."""
    fused = fusible(rule)

    def either(layer: MaxPool, *arguments: Tensor | bool | None) -> R:
        if fusing() and layer.apart:
            return fused(_largest, *(layer.entries(t) if isinstance(t, Tensor) else t for t in arguments))
        return rule(lambda parts: layer(*parts), *((t,) if isinstance(t, Tensor) else t for t in arguments))

    return either


def plus(a: Parts, b: Parts) -> Parts:
    """``a + b``."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


def minus(a: Parts, b: Parts) -> Parts:
    """``a − b``."""
    return tuple(x - y for x, y in zip(a, b, strict=True))


def _largest(parts: Parts) -> Tensor:
    """The largest of each window; of equal ones the first gets the gradient, and NaN wins, as in torch's pooling."""
    best, *others = parts
    for entry in others:
        best = torch.where((entry > best) | entry.isnan(), entry, best)
    return best
