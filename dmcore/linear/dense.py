"""Linear forms ``A z`` with every coefficient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.linear.chunks import check_budget
from dmcore.linear.coefficients import Coefficients
from dmcore.nets.layers import Affine, Linear, MaxPool
from dmcore.nets.network import Shape


def sized(data: Tensor, t: Tensor) -> Tensor:
    """``|data| · t``, in one new tensor where no gradient needs two."""
    size = data.abs()
    in_place = not torch.is_grad_enabled() and torch.broadcast_shapes(size.shape, t.shape) == size.shape
    return size.mul_(t) if in_place else size * t


def add_product(total: Tensor, one: Tensor, two: Tensor, sign: int = 1) -> Tensor:
    """``total ± one · two``, in the place of ``total`` where no gradient needs it."""
    if torch.is_grad_enabled():
        return torch.addcmul(total, one, two, value=sign)
    return total.addcmul_(one, two, value=sign)


@dataclass(frozen=True, eq=False)
class Dense(Coefficients):
    """All coefficients: ``data`` of shape (B or 1, R, *shape), R linear forms a sample."""

    data: Tensor

    @property
    def explicit(self) -> Dense:
        return self

    @property
    def shared(self) -> bool:
        return len(self.data) == 1

    def map(self, change: Callable[[Tensor], Tensor]) -> Dense:
        return Dense(change(self.data))

    def norm(self, order: float) -> Tensor:
        return torch.linalg.vector_norm(self.data.flatten(2), order, -1)

    def broadcast(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficients (B or 1, R, F) and t as (B, 1, F)."""
        return self.data.flatten(2), t.flatten(1)[:, None]

    def __add__(self, other: Coefficients) -> Dense:
        return Dense(self.data + other.dense())

    def __sub__(self, other: Coefficients) -> Dense:
        return Dense(self.data - other.dense())

    def times(self, t: Tensor) -> Dense:
        check_budget(max(len(t), len(self.data)) * self.data[0].numel(), self.data.device)
        return Dense(self.data * t[:, None])

    def relaxed(self, slope: Tensor, half: Tensor, sign: int) -> Dense:
        if self.shared:  # rounded twice, not once: bounds of single points stay what they were, to the bit
            middle, radius = self.times(slope), self.map(torch.abs).times(half)
            return middle + radius if sign > 0 else middle - radius
        return Dense(add_product(self.times(slope).data, self.data.abs(), half[:, None], sign))

    def dot(self, t: Tensor) -> Tensor:
        flat = self.data.flatten(2)
        if len(flat) == 1:
            return t.flatten(1) @ flat[0].T
        return (flat @ t.flatten(1)[:, :, None])[:, :, 0]

    def abs_dot(self, t: Tensor) -> Tensor:
        if self.data.ndim != 5:
            return self.abs().dot(t)
        # Channel by channel: a sum of sums errs less than one of all the numbers (:attr:`summation_length`).
        if self.shared:  # a matrix product for each channel
            return torch.bmm(self.data[0].abs().flatten(2).transpose(0, 1), t.flatten(2).permute(1, 2, 0)).sum(0).T
        return sized(self.data, t[:, None]).flatten(3).sum(3).sum(2)

    @property
    def summation_length(self) -> int:
        shape = self.data.shape[2:]
        return shape[0] + shape[1] * shape[2] if len(shape) == 3 else shape.numel()

    def double(self) -> Dense:
        return Dense(self.data.double())

    def through(self, layer: Affine, in_shape: Shape) -> Dense:
        b, r = self.data.shape[:2]
        check_budget(b * r * torch.Size(in_shape).numel(), self.data.device)
        return Dense(layer.transpose(self.data.flatten(0, 1), in_shape).unflatten(0, (b, r)))

    def through_pool(self, pool: MaxPool, slopes: Tensor, in_shape: Shape) -> Dense:
        spread = Dense(self.data[..., None]).times(slopes).data
        return Dense(pool.unwindows(spread.flatten(0, 1), in_shape).unflatten(0, spread.shape[:2]))

    def dense(self) -> Tensor:
        return self.data

    def rows(self, values: Tensor) -> Tensor:
        return values


@dataclass(frozen=True, eq=False)
class OneHot(Coefficients):
    """Forms with a single coefficient, 1: some entries of a node themselves.

    Attributes:
        index: (B or 1, R), counted through the flattened node; None for all of them.
        shape: the node's.
        like: a tensor of the dtype and device wanted.
    """

    index: Tensor | None
    shape: Shape
    like: Tensor

    @cached_property
    def explicit(self) -> Dense:
        size = torch.Size(self.shape).numel()
        index = torch.arange(size, device=self.like.device)[None] if self.index is None else self.index
        check_budget(index.numel() * size, index.device)
        return Dense(F.one_hot(index, size).to(self.like.dtype).unflatten(2, self.shape))

    @property
    def summation_length(self) -> int:
        return 1

    def abs(self) -> OneHot:
        return self

    def double(self) -> OneHot:
        return OneHot(self.index, self.shape, self.like.double())

    def dot(self, t: Tensor) -> Tensor:
        flat = t.flatten(1)
        if self.index is None:
            return flat
        batch = max(len(flat), len(self.index))
        return flat.expand(batch, -1).gather(1, self.index.expand(batch, -1))

    def abs_dot(self, t: Tensor) -> Tensor:
        return self.dot(t)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        if isinstance(layer, Linear) and len(self.shape) == 1:
            if self.index is None:
                return Dense(layer.weight[None])
            check_budget(self.index.numel() * in_shape[0], self.index.device)
            return Dense(layer.weight[self.index])
        return self.explicit.through(layer, in_shape)
