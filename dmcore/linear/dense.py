"""Linear forms ``A z`` with every coefficient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.linear.budget import check_budget
from dmcore.nets.layers import Affine, Linear, MaxPool
from dmcore.nets.network import Shape

if TYPE_CHECKING:
    from dmcore.linear.coefficients import Coefficients


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
class Dense:
    """All coefficients: ``data`` of shape (B or 1, R, *shape), R linear forms a sample."""

    data: Tensor

    @property
    def shared(self) -> bool:
        """Whether all samples have the same coefficients."""
        return len(self.data) == 1

    def abs(self) -> Dense:
        """|A|."""
        return Dense(self.data.abs())

    def positive(self) -> Dense:
        """max(A, 0)."""
        return Dense(self.data.clamp(min=0))

    def negative(self) -> Dense:
        """min(A, 0)."""
        return Dense(self.data.clamp(max=0))

    def largest(self) -> Tensor:
        """max|A| of each form: (B or 1, R)."""
        return self.data.flatten(2).abs().amax(2)

    def beside(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficients (B or 1, R, F), and next to them what they multiply in t (B, *shape): (B, 1, F)."""
        return self.data.flatten(2), t.flatten(1)[:, None]

    def __add__(self, other: Coefficients) -> Dense:
        return Dense(self.data + other.dense().data)

    def __sub__(self, other: Coefficients) -> Dense:
        return Dense(self.data - other.dense().data)

    def times(self, t: Tensor | float) -> Dense:
        """A · diag(t) with t of shape (B, *shape), or a plain number."""
        if not isinstance(t, Tensor):
            return Dense(self.data * t)
        check_budget(max(len(t), len(self.data)) * self.data[0].numel())
        return Dense(self.data * t[:, None])

    def tilted(self, slope: Tensor, half: Tensor, sign: int) -> Dense:
        """``A · diag(slope) ± |A| · diag(half)``, both (B, *shape)."""
        return Dense(add_product(self.times(slope).data, self.data.abs(), half[:, None], sign))

    def dot(self, t: Tensor) -> Tensor:
        """A t with t of shape (B or 1, *shape): (B, R)."""
        flat = self.data.flatten(2)
        if len(flat) == 1:
            return t.flatten(1) @ flat[0].T
        return (flat @ t.flatten(1)[:, :, None])[:, :, 0]

    def abs_dot(self, t: Tensor) -> Tensor:
        """|A| t with t of shape (B or 1, *shape): (B, R)."""
        if self.data.ndim != 5:
            return self.abs().dot(t)
        # Channel by channel: a sum of sums errs less than one of all the numbers (:attr:`chain`).
        if self.shared:  # a matrix product for each channel
            return torch.bmm(self.data[0].abs().flatten(2).transpose(0, 1), t.flatten(2).permute(1, 2, 0)).sum(0).T
        return sized(self.data, t[:, None]).flatten(3).sum(3).sum(2)

    def square_dot(self, t: Tensor) -> Tensor:
        """A² t, of the square of each coefficient: (B, R)."""
        return Dense(self.data.square()).abs_dot(t)

    @property
    def chain(self) -> int:
        """How many numbers :meth:`abs_dot` adds up one after the other, at most."""
        shape = self.data.shape[2:]
        return shape[0] + shape[1] * shape[2] if len(shape) == 3 else shape.numel()

    def double(self) -> Dense:
        """The same in float64."""
        return Dense(self.data.double())

    def through(self, layer: Affine, in_shape: Shape) -> Dense:
        """A W: the same linear forms over the affine layer's input."""
        b, r = self.data.shape[:2]
        check_budget(b * r * torch.Size(in_shape).numel())
        return Dense(layer.transpose(self.data.flatten(0, 1), in_shape).unflatten(0, (b, r)))

    def through_pool(self, pool: MaxPool, slopes: Tensor, in_shape: Shape) -> Dense:
        """The forms over a max-pool's input, the pool in a line with ``slopes`` (B, C, H, W, k·k) of its windows."""
        spread = Dense(self.data[..., None]).times(slopes).data
        return Dense(pool.unwindows(spread.flatten(0, 1), in_shape).unflatten(0, spread.shape[:2]))

    def reshape(self, shape: Shape) -> Dense:
        """The same forms over a node of another shape (what a flatten undoes)."""
        return Dense(self.data.reshape(*self.data.shape[:2], *shape))

    def dense(self) -> Dense:
        """Itself."""
        return self

    def rows(self, values: Tensor) -> Tensor:
        """Values of each form (B, R), which are in the node's own order already."""
        return values


class Entries(Dense):
    """Values of a node themselves, of some of its entries: forms with a single coefficient, 1.

    Args:
        index: (B or 1, R), counted through the flattened node; None for all of them.
        shape: the node's.
        like: a tensor of the dtype and device wanted.
    """

    def __init__(self, index: Tensor | None, shape: Shape, like: Tensor) -> None:
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "like", like)

    index: Tensor | None
    shape: Shape
    like: Tensor

    @property
    def data(self) -> Tensor:
        """The coefficients written out."""
        size = torch.Size(self.shape).numel()
        index = torch.arange(size, device=self.like.device)[None] if self.index is None else self.index
        check_budget(index.numel() * size)
        return F.one_hot(index, size).to(self.like.dtype).unflatten(2, self.shape)

    def dot(self, t: Tensor) -> Tensor:
        flat = t.flatten(1)
        if self.index is None:
            return flat
        batch = max(len(flat), len(self.index))
        return flat.expand(batch, -1).gather(1, self.index.expand(batch, -1))

    def abs(self) -> Dense:
        return self

    def abs_dot(self, t: Tensor) -> Tensor:
        return self.dot(t)

    @property
    def chain(self) -> int:
        return 1

    def double(self) -> Entries:
        return Entries(self.index, self.shape, self.like.double())

    def through(self, layer: Affine, in_shape: Shape) -> Dense:
        if isinstance(layer, Linear) and len(self.shape) == 1:
            if self.index is None:
                return Dense(layer.weight[None])
            check_budget(self.index.numel() * in_shape[0])
            return Dense(layer.weight[self.index])
        return Dense(self.data).through(layer, in_shape)
