"""The coefficients of linear forms ``A z`` over a node's values z, for a batch of samples.

Two representations with one interface. :class:`Dense` holds every coefficient. :class:`Patches` holds, for the
neurons of a convolution, only those inside each neuron's receptive field: for the paper's small CNN that is a
tenth of the arithmetic and a thirtieth of the memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.layers import Affine, Conv, Diagonal
from dmcore.nets.network import Shape

UNROLLED = 1024  # largest patch (C·kh·kw) whose transposed convolution is written out as a matrix
BUDGET = 2**25  # coefficients in one tensor, above which the work is split; 128 MiB in float32


class OverBudgetError(MemoryError):
    """One tensor of coefficients would exceed the budget: bound fewer points or fewer neurons at a time."""


def _check(count: int) -> None:
    if count > BUDGET:
        raise OverBudgetError(f"{count} coefficients at once, budget {BUDGET}")


@dataclass(frozen=True, eq=False)
class Dense:
    """All coefficients: ``data`` of shape (B or 1, R, *shape), R linear forms a sample."""

    data: Tensor

    def _check_batch(self, batch: int) -> None:
        _check(max(batch, len(self.data)) * self.data[0].numel())

    def positive(self) -> Dense:
        """max(A, 0)."""
        return Dense(self.data.clamp(min=0))

    def negative(self) -> Dense:
        """min(A, 0)."""
        return Dense(self.data.clamp(max=0))

    def abs(self) -> Dense:
        """|A|."""
        return Dense(self.data.abs())

    def square(self) -> Dense:
        """A² of each coefficient."""
        return Dense(self.data.square())

    def largest(self) -> Tensor:
        """max|A| of each form: (B or 1, R)."""
        return self.data.flatten(2).abs().amax(2)

    def beside(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficients (B or 1, R, F), and next to them what they multiply in t (B, *shape): (B, 1, F)."""
        return self.data.flatten(2), t.flatten(1)[:, None]

    def __add__(self, other: Dense | Patches) -> Dense:
        return Dense(self.data + other.dense().data)

    def times(self, t: Tensor) -> Dense:
        """A · diag(t) with t of shape (B, *shape), or a plain number."""
        if not isinstance(t, Tensor):
            return Dense(self.data * t)
        self._check_batch(len(t))
        return Dense(self.data * t[:, None])

    def dot(self, t: Tensor) -> Tensor:
        """A t with t of shape (B or 1, *shape): (B, R)."""
        flat = self.data.flatten(2)
        if len(flat) == 1:
            return t.flatten(1) @ flat[0].T
        return (flat @ t.flatten(1)[:, :, None])[:, :, 0]

    def through(self, layer: Affine, in_shape: Shape) -> Dense:
        """A W: the same linear forms over the affine layer's input."""
        b, r = self.data.shape[:2]
        _check(b * r * torch.Size(in_shape).numel())
        return Dense(layer.transpose(self.data.flatten(0, 1), in_shape).unflatten(0, (b, r)))

    def reshape(self, shape: Shape) -> Dense:
        """The same forms over a node of another shape (what a flatten undoes)."""
        return Dense(self.data.reshape(*self.data.shape[:2], *shape))

    def dense(self) -> Dense:
        """Itself."""
        return self

    def rows(self, values: Tensor) -> Tensor:
        """Values of each form (B, R), which are in the node's own order already."""
        return values


@dataclass(frozen=True, eq=False)
class Patches:
    """Coefficients over each neuron's window: ``data`` of shape (B or 1, P or 1, O, C·kh·kw).

    P = ``grid`` rows · columns are the positions, O the channels, of the neurons. The window of the neuron at (i, j)
    starts at ``(i, j) · stride − origin`` in a node of shape ``shape`` = (C, H, W). What it reaches outside is
    padding: a constant 0, whose coefficients mean nothing and never count (:meth:`windows` puts zeros there).
    """

    data: Tensor
    shape: Shape
    grid: tuple[int, int]
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    origin: tuple[int, int] = (0, 0)
    masked: bool = False  # the coefficients outside are zeros already

    @classmethod
    def identity(cls, shape: Shape, rows: slice, like: Tensor) -> Patches:
        """Each neuron itself, of some rows of a (C, H, W) node: a 1×1 convolution with the unit matrix."""
        eye = torch.eye(shape[0], dtype=like.dtype, device=like.device)[None, None]
        return cls(eye, shape, (rows.stop - rows.start, shape[2]), origin=(-rows.start, 0), masked=True)

    def windows(self, t: Tensor) -> Tensor:
        """t of shape (B, C, H, W) as seen by each neuron, zero outside: (B, P, C·kh·kw)."""
        (kh, kw), (sh, sw), (top, left) = self.kernel, self.stride, self.origin
        height, width = t.shape[-2:]
        bottom = (self.grid[0] - 1) * sh + kh - top - height
        right = (self.grid[1] - 1) * sw + kw - left - width
        # Padded first and cut then, where amounts are negative: all windows may lie in the padding.
        padded = F.pad(t, [max(amount, 0) for amount in (left, right, top, bottom)])
        rows = slice(max(-top, 0), padded.shape[-2] + min(bottom, 0))
        cut = padded[..., rows, max(-left, 0) : padded.shape[-1] + min(right, 0)]
        seen = cut.unfold(2, kh, sh).unfold(3, kw, sw)  # (B, C, rows, columns, kh, kw)
        return seen.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)

    def _geometry(self) -> tuple:
        return self.shape, self.grid, self.kernel, self.stride, self.origin

    def _with(self, data: Tensor, masked: bool | None = None) -> Patches:
        return replace(self, data=data, masked=self.masked if masked is None else masked)

    def _check_batch(self, batch: int) -> None:
        positions = self.grid[0] * self.grid[1]
        _check(max(batch, len(self.data)) * positions * self.data[0, 0].numel())

    def positive(self) -> Patches:
        """max(A, 0)."""
        return self._with(self.data.clamp(min=0))

    def negative(self) -> Patches:
        """min(A, 0)."""
        return self._with(self.data.clamp(max=0))

    def abs(self) -> Patches:
        """|A|."""
        return self._with(self.data.abs())

    def square(self) -> Patches:
        """A² of each coefficient."""
        return self._with(self.data.square())

    def largest(self) -> Tensor:
        """max|A| of each form: (B or 1, P·O)."""
        most = self._zeroed().data.abs().amax(3)
        return most.expand(-1, self.grid[0] * self.grid[1], -1).flatten(1)

    def beside(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficients (B or 1, P or 1, O, F), and next to them what they multiply in t: (B, P, 1, F)."""
        return self.data, self.windows(t)[:, :, None]

    def _zeroed(self) -> Patches:
        """With zeros for the coefficients outside."""
        if self.masked:
            return self
        return self.times(torch.ones(1, *self.shape, dtype=self.data.dtype, device=self.data.device))

    def __add__(self, other: Dense | Patches) -> Dense | Patches:
        if isinstance(other, Patches) and self._geometry() == other._geometry():
            return self._with(self.data + other.data, self.masked and other.masked)
        return self.dense() + other

    def times(self, t: Tensor) -> Patches:
        """A · diag(t) with t of shape (B, C, H, W), or a plain number."""
        if not isinstance(t, Tensor):
            return self._with(self.data * t)
        self._check_batch(len(t))
        return self._with(self.data * self.windows(t)[:, :, None], masked=True)

    def dot(self, t: Tensor) -> Tensor:
        """A t with t of shape (B or 1, C, H, W): (B, P·O)."""
        seen = self.windows(t)
        if self.data.shape[:2] == (1, 1):  # the same for all samples and positions: one matrix product
            return (seen @ self.data[0, 0].T).flatten(1)
        return (self.data @ seen[..., None]).flatten(1)

    def through(self, layer: Affine, in_shape: Shape) -> Dense | Patches:
        """A W: the same linear forms over the affine layer's input."""
        if isinstance(layer, Diagonal):
            scale = layer.linear(torch.ones(1, *in_shape, dtype=self.data.dtype, device=self.data.device))
            return self.times(scale)
        if not isinstance(layer, Conv):
            return self.dense().through(layer, in_shape)
        if not self.masked:
            return self._zeroed().through(layer, in_shape)
        (kh, kw), (sh, sw), (dh, dw) = layer.kernel, layer.stride, layer.dilation
        left, _, top, _ = layer.padding
        kernel = ((self.kernel[0] - 1) * sh + (kh - 1) * dh + 1, (self.kernel[1] - 1) * sw + (kw - 1) * dw + 1)
        if kernel[0] * kernel[1] > in_shape[1] * in_shape[2]:  # the windows have outgrown the node
            return self.dense().through(layer, in_shape)
        b, p, o = self.data.shape[:3]
        _check(b * p * o * in_shape[0] * kernel[0] * kernel[1])
        return Patches(
            self._grow(layer).reshape(b, p, o, -1),
            in_shape,
            self.grid,
            kernel,
            (self.stride[0] * sh, self.stride[1] * sw),
            (self.origin[0] * sh + top, self.origin[1] * sw + left),
        )

    def _grow(self, layer: Conv) -> Tensor:
        """Every patch through the transposed convolution: (N, C·kh·kw) to (N, C', kh', kw')."""

        def transposed(patches: Tensor) -> Tensor:
            small = patches.reshape(-1, self.shape[0], *self.kernel)
            return F.conv_transpose2d(small, layer.weight, None, layer.stride, 0, 0, layer.groups, layer.dilation)

        patches = self.data.flatten(0, 2)
        size = patches.shape[1]
        if len(patches) < 4 * size or size > UNROLLED:
            return transposed(patches)
        # Many tiny images: the convolution written out as a matrix is several times faster than torch's own.
        matrix = transposed(torch.eye(size, dtype=patches.dtype, device=patches.device)).flatten(1)
        return patches @ matrix

    def dense(self) -> Dense:
        """The same forms with every coefficient, the rows in the order of :meth:`dot`."""
        node = torch.Size(self.shape).numel()
        b, _, o, _ = self.data.shape
        positions = self.grid[0] * self.grid[1]
        _check(b * positions * o * node)
        # Where each window's entries lie in the node, counted from 1; padding falls on entry 0, which is cut off.
        place = torch.arange(1, node + 1, dtype=torch.float64, device=self.data.device).reshape(1, *self.shape)
        index = self.windows(place).long()[:, :, None]  # (1, P, 1, F)
        size = (b, positions, o, index.shape[-1])
        full = self.data.new_zeros(b, positions, o, node + 1).scatter_add_(
            3, index.expand(size), self.data.expand(size)
        )
        return Dense(full[..., 1:].reshape(b, positions * o, *self.shape))

    def rows(self, values: Tensor) -> Tensor:
        """Values of each form (B, P·O) in the node's own order (B, O·P)."""
        return values.unflatten(1, (self.grid[0] * self.grid[1], -1)).transpose(1, 2).flatten(1)


Coefficients = Dense | Patches


def identity(shape: Shape, like: Tensor, rows: slice = slice(None)) -> Coefficients:
    """Each value of a node itself: of some rows of a (C, H, W) node, or of some entries of another."""
    rows = slice(*rows.indices(shape[1] if len(shape) == 3 else torch.Size(shape).numel())[:2])
    if len(shape) == 3:
        return Patches.identity(shape, rows, like)
    eye = torch.eye(torch.Size(shape).numel(), dtype=like.dtype, device=like.device)[rows]
    return Dense(eye.reshape(1, -1, *shape))
