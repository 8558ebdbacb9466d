"""Linear forms over a convolution's values, with the coefficients inside each neuron's receptive field alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.linear.chunks import check_budget
from dmcore.linear.coefficients import Coefficients
from dmcore.linear.dense import Dense, add_product, sized
from dmcore.nets.layers import Affine, Conv, Diagonal, MaxPool
from dmcore.nets.layers.affine import padded
from dmcore.nets.network import Shape

Pair = tuple[int, int]

UNROLLED = 1024  # largest patch (C·kh·kw) whose transposed convolution may be written out as a matrix


@dataclass(frozen=True, eq=False)
class Patches(Coefficients):
    """Coefficients over each neuron's window: ``data`` of shape (B or 1, P or 1, O, C·kh·kw).

    P are the positions, O the channels, of the neurons. The window of the neuron at (i, j) starts at
    ``(i, j) · stride − origin`` in a node of shape ``shape`` = (C, H, W). What it reaches outside is padding: a
    constant 0, whose coefficients mean nothing and never count (:meth:`windows` puts zeros there).

    Attributes:
        grid: rows and columns of positions.
        chosen: (B, P) if the forms are of chosen positions (of one neuron each, O = 1), counted through the grid; else
            they are of all of it, P = rows · columns.
        masked: the coefficients outside are zeros already.
        unit: every form is one of the values themselves, of whole rows of the node.
    """

    data: Tensor
    shape: Shape
    grid: Pair
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    origin: Pair = (0, 0)
    chosen: Tensor | None = None
    masked: bool = False
    unit: bool = False

    @classmethod
    def identity(cls, shape: Shape, rows: slice, like: Tensor) -> Patches:
        """Each neuron itself, of some rows of a (C, H, W) node: a 1×1 convolution with the unit matrix."""
        eye = torch.eye(shape[0], dtype=like.dtype, device=like.device)[None, None]
        return cls(eye, shape, (rows.stop - rows.start, shape[2]), origin=(-rows.start, 0), masked=True, unit=True)

    @classmethod
    def one_hot(cls, index: Tensor, shape: Shape, like: Tensor) -> Patches:
        """Some neurons themselves: ``index`` (B, R), counted through the flattened (C, H, W) node."""
        channel, place = index // (shape[1] * shape[2]), index % (shape[1] * shape[2])
        unit = F.one_hot(channel, shape[0]).to(like.dtype)[:, :, None]
        return cls(unit, shape, (shape[1], shape[2]), chosen=place, masked=True)

    @property
    def positions(self) -> int:
        """P, how many positions have forms."""
        return self.grid[0] * self.grid[1] if self.chosen is None else self.chosen.shape[1]

    @property
    def explicit(self) -> Patches:
        return self

    @property
    def shared(self) -> bool:
        """Whether all samples and positions have the same coefficients, as those of a convolution's own filters."""
        return self.data.shape[:2] == (1, 1) and self.chosen is None

    def same_windows(self, other: Patches) -> bool:
        """Whether the coefficients of both stand for the same entries."""
        mine, theirs = ((p.shape, p.grid, p.kernel, p.stride, p.origin) for p in (self, other))
        return mine == theirs and self.chosen is other.chosen

    def windows(self, t: Tensor) -> Tensor:
        """t of shape (B, C, H, W) as seen by each neuron, zero outside: (B, P, C·kh·kw)."""
        (kh, kw), (sh, sw), (top, left) = self.kernel, self.stride, self.origin
        height, width = t.shape[-2:]
        bottom = (self.grid[0] - 1) * sh + kh - top - height
        right = (self.grid[1] - 1) * sw + kw - left - width
        cut = padded(t, left, right, top, bottom)
        seen = cut.unfold(2, kh, sh).unfold(3, kw, sw)  # (B, C, rows, columns, kh, kw)
        if self.chosen is None:
            return seen.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        batch = torch.arange(len(self.chosen), device=t.device)[:, None] if len(t) > 1 else 0
        row, column = self.chosen // self.grid[1], self.chosen % self.grid[1]
        return seen.permute(0, 2, 3, 1, 4, 5)[batch, row, column].flatten(2)

    def _with(self, data: Tensor, masked: bool | None = None) -> Patches:
        return replace(self, data=data, masked=self.masked if masked is None else masked, unit=False)

    def map(self, change: Callable[[Tensor], Tensor]) -> Patches:
        return self._with(change(self.data))

    def norm(self, order: float) -> Tensor:
        norms = torch.linalg.vector_norm(self.mask().data, order, -1)  # the padding's coefficients do not count
        return norms.expand(-1, self.positions, -1).flatten(1)

    def broadcast(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficients (B or 1, P or 1, O, F) and what they multiply in t: (B, P, 1, F)."""
        return self.data, self.windows(t)[:, :, None]

    def mask(self) -> Patches:
        """With zeros for the coefficients outside."""
        if self.masked:
            return self
        return self.times(torch.ones(1, *self.shape, dtype=self.data.dtype, device=self.data.device))

    def __add__(self, other: Coefficients) -> Coefficients:
        return self._combined(other, 1)

    def __sub__(self, other: Coefficients) -> Coefficients:
        return self._combined(other, -1)

    def _combined(self, other: Coefficients, sign: int) -> Coefficients:
        """self + sign · other, over windows that hold both."""
        other = other.explicit
        if (
            isinstance(other, Patches)
            and (self.grid, self.stride) == (other.grid, other.stride)
            and self.chosen is other.chosen
        ):
            corner = (max(self.origin[0], other.origin[0]), max(self.origin[1], other.origin[1]))
            one, two = self._reaching(corner, other), other._reaching(corner, self)
            if one.kernel[0] * one.kernel[1] <= self.shape[1] * self.shape[2]:
                return one._with(torch.add(one.data, two.data, alpha=sign), one.masked and two.masked)
        return Dense(torch.add(self.dense(), other.dense(), alpha=sign))

    def _reaching(self, corner: Pair, other: Patches) -> Patches:
        """The same forms over windows that start at ``corner`` and hold those of ``other``, too."""
        top, left = corner[0] - self.origin[0], corner[1] - self.origin[1]
        height = max(top + self.kernel[0], corner[0] - other.origin[0] + other.kernel[0])
        width = max(left + self.kernel[1], corner[1] - other.origin[1] + other.kernel[1])
        if (height, width) == self.kernel and corner == self.origin:
            return self
        image = self.data.unflatten(3, (self.shape[0], *self.kernel))
        wide = F.pad(image, (left, width - left - self.kernel[1], top, height - top - self.kernel[0]))
        return replace(self, data=wide.flatten(3), kernel=(height, width), origin=corner)

    def times(self, t: Tensor) -> Patches:
        check_budget(max(len(t), len(self.data)) * self.positions * self.data[0, 0].numel(), self.data.device)
        return self._with(self.data * self.windows(t)[:, :, None], masked=True)

    def relaxed(self, slope: Tensor, half: Tensor, sign: int) -> Patches:
        product = self.times(slope)
        return product._with(add_product(product.data, self.data.abs(), self.windows(half)[:, :, None], sign))

    def dot(self, t: Tensor) -> Tensor:
        if self.unit:
            return t[:, :, -self.origin[0] : self.grid[0] - self.origin[0]].permute(0, 2, 3, 1).flatten(1)
        seen = self.windows(t)
        if self.shared:  # one matrix product
            return (seen @ self.data[0, 0].T).flatten(1)
        return (self.data @ seen[..., None]).flatten(1)

    def abs_dot(self, t: Tensor) -> Tensor:
        if self.unit:
            return self.dot(t)
        if self.shared:
            return self.abs().dot(t)
        # Channel by channel: a sum of sums errs less than one of all the numbers (:attr:`summation_length`).
        products = sized(self.data, self.windows(t)[:, :, None])
        return products.unflatten(3, (self.shape[0], -1)).sum(4).sum(3).flatten(1)

    @property
    def summation_length(self) -> int:
        if self.unit:
            return 1
        size = self.data.shape[3]
        return size if self.shared else self.shape[0] + size // self.shape[0]

    def double(self) -> Patches:
        return replace(self, data=self.data.double())

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        if isinstance(layer, Diagonal):
            scale = layer.linear(torch.ones(1, *in_shape, dtype=self.data.dtype, device=self.data.device))
            return self.times(scale)
        if not isinstance(layer, Conv):
            return Dense(self.dense()).through(layer, in_shape)
        windows = self.before(layer, in_shape)
        if windows is None:
            return Dense(self.dense()).through(layer, in_shape)
        return self.mask().grown(layer, windows)

    def grown(self, layer: Conv, windows: Patches) -> Patches:
        """The forms over the input of a convolution, in the ``windows`` that :meth:`before` found; after a mask."""
        window = windows.kernel[0] * windows.kernel[1]
        check_budget(self.data[..., 0].numel() * windows.shape[0] * window, self.data.device)
        return replace(windows, data=self._grow(layer).reshape(*self.data.shape[:3], -1))

    def before(self, layer: Conv | MaxPool, in_shape: Shape) -> Patches | None:
        """The windows, without coefficients, over the input of a convolution or max-pool; None if they outgrow it."""
        if isinstance(layer, Conv):
            (dh, dw), (left, _, top, _) = layer.dilation, layer.padding
        else:
            (dh, dw), (top, left) = (1, 1), layer.padding
        (kh, kw), (sh, sw) = layer.kernel, layer.stride
        kernel = ((self.kernel[0] - 1) * sh + (kh - 1) * dh + 1, (self.kernel[1] - 1) * sw + (kw - 1) * dw + 1)
        if kernel[0] * kernel[1] > in_shape[1] * in_shape[2]:
            return None
        stride = (self.stride[0] * sh, self.stride[1] * sw)
        origin = (self.origin[0] * sh + top, self.origin[1] * sw + left)
        return Patches(self.data[..., :0], in_shape, self.grid, kernel, stride, origin, self.chosen)

    def _grow(self, layer: Conv) -> Tensor:
        """Every patch through the transposed convolution: (N, C·kh·kw) to (N, C', kh', kw')."""

        def transposed(patches: Tensor) -> Tensor:
            return layer.transpose_padded(patches.reshape(-1, self.shape[0], *self.kernel))

        patches, size = self.data.flatten(0, 2), self.data.shape[3]
        if not self.unrolled(layer, len(patches)):
            return transposed(patches)
        # Many tiny images: the convolution written out as a matrix is several times faster than torch's own.
        matrix = transposed(torch.eye(size, dtype=patches.dtype, device=patches.device)).flatten(1)
        return patches @ matrix

    def unrolled(self, layer: Conv, count: int) -> bool:
        """Whether ``count`` patches go through a convolution as one matrix product."""
        size, channels, (kh, kw) = self.data.shape[3], layer.weight.shape[1], layer.kernel
        grown = channels * ((self.kernel[0] - 1) * layer.stride[0] + kh) * ((self.kernel[1] - 1) * layer.stride[1] + kw)
        return size <= UNROLLED and count >= 4 * size and grown <= 4 * kh * kw * max(channels, 8)

    def through_pool(self, pool: MaxPool, slopes: Tensor, in_shape: Shape) -> Coefficients:
        grown = self.before(pool, in_shape)
        if grown is None:
            return Dense(self.dense()).through_pool(pool, slopes, in_shape)
        (b, _, o), entries = self.data.shape[:3], slopes.shape[-1]
        check_budget(max(len(slopes), b) * self.positions * o * self.data.shape[3] * entries, self.data.device)
        channels = slopes.permute(0, 1, 4, 2, 3).flatten(1, 2)  # each entry of the pool's window a channel of its own
        seen = replace(self, shape=(self.shape[0] * entries, *self.shape[1:])).windows(channels)
        size = self.kernel[0] * self.kernel[1]
        seen = seen.reshape(*seen.shape[:2], 1, self.shape[0], entries, size)
        spread = self.data.unflatten(3, (self.shape[0], 1, size)) * seen
        folded = F.fold(spread.flatten(3, 4).flatten(0, 2), grown.kernel, pool.kernel, stride=pool.stride)
        return replace(grown, data=folded.reshape(*spread.shape[:3], -1), masked=True)

    def dense(self) -> Tensor:
        """Every coefficient, the rows in the order of :meth:`dot`: (B or 1, P·O, C, H, W)."""
        node = torch.Size(self.shape).numel()
        b, _, o, _ = self.data.shape
        check_budget(b * self.positions * o * node, self.data.device)
        # Where each window's entries lie in the node, counted from 1; padding falls on entry 0, which is cut off.
        place = torch.arange(1, node + 1, dtype=torch.float64, device=self.data.device).reshape(1, *self.shape)
        index = self.windows(place).long()[:, :, None]  # (1 or B, P, 1, F)
        b = max(b, len(index))
        size = (b, self.positions, o, index.shape[-1])
        full = self.data.new_zeros(b, self.positions, o, node + 1).scatter_add_(
            3, index.expand(size), self.data.expand(size)
        )
        return full[..., 1:].reshape(b, self.positions * o, *self.shape)

    def rows(self, values: Tensor) -> Tensor:
        """Values of each form (B, P·O) in the node's own order (B, O·P)."""
        return values.unflatten(1, (self.positions, -1)).transpose(1, 2).flatten(1)
