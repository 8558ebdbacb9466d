"""Affine layers ``y = W x + b``: convolution, fully connected, channel normalisation, fixed factors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmcore.errors import UserError

Padding = tuple[int, int, int, int]  # left, right, top, bottom: the order of F.pad


class Affine(nn.Module):
    """``y = W x + b``, the only thing a domain must know of an affine layer.

    Subclasses implement :meth:`linear`, :meth:`magnitude`, :meth:`transpose`, :meth:`offset` and :meth:`terms`.
    """

    weight: Tensor

    def linear(self, x: Tensor) -> Tensor:
        """``W x`` without the bias; x of shape (N, *in_shape)."""
        raise NotImplementedError

    def magnitude(self, r: Tensor) -> Tensor:
        """``|W| r``: how far the output moves when each input moves by at most r ≥ 0."""
        raise NotImplementedError

    def transpose(self, g: Tensor, in_shape: Sequence[int]) -> Tensor:
        """``Wᵀ g``: g of shape (N, *out_shape) to (N, *in_shape)."""
        raise NotImplementedError

    def offset(self) -> Tensor | None:
        """The bias, broadcastable against an output (*out_shape), or None."""
        raise NotImplementedError

    def terms(self) -> tuple[int, int]:
        """How many products at most are added up to one output (``W x``), and to one coefficient (``Wᵀ g``).

        Rounding errors are bounded by these counts: too small a count makes certificates unsound.
        """
        raise UserError(f"{type(self).__name__} does not say how many products it adds up: give it terms()")

    def weight_rows(self) -> Tensor | None:
        """The trainable weight as a matrix (out, in·k·k), a row a filter; None where there is none to train."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        b = self.offset()
        return self.linear(x) if b is None else self.linear(x) + b


def padded(t: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """``F.pad`` of (…, H, W) whose negative amounts cut off, from what the others have padded, too.

    Windows may lie in a convolution's padding alone: then more is cut on one side than the image has, which ``F.pad``,
    cutting first, refuses.
    """
    more = [max(amount, 0) for amount in (left, right, top, bottom)]
    wide = F.pad(t, more) if any(more) else t
    rows = slice(max(-top, 0), wide.shape[-2] + min(bottom, 0))
    return wide[..., rows, max(-left, 0) : wide.shape[-1] + min(right, 0)]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "same" padding of one axis: (before, after), the odd one after.

    The output then has ⌈size/stride⌉ entries: 4×4/2 on 28 pads (1, 1); 4×4/1 pads (1, 2).
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Conv(Affine):
    """2-d convolution with zero padding that may differ from side to side.

    Args:
        padding: (left, right, top, bottom), zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: Padding = (0, 0, 0, 0),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.weight[0].numel()))

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the filters."""
        return self.weight.shape[2], self.weight.shape[3]

    def _conv(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        left, right, top, bottom = self.padding
        if x.is_cuda and weight.requires_grad and self._slow_gradient:
            return self._product(F.pad(x, self.padding), weight, bias)
        if left == right and top == bottom:
            return F.conv2d(x, weight, bias, self.stride, (top, left), self.dilation, self.groups)
        x = F.pad(x, self.padding)
        return F.conv2d(x, weight, bias, self.stride, 0, self.dilation, self.groups)

    @property
    def _slow_gradient(self) -> bool:
        """Whether cuDNN's repeatable weight gradients take longer than all the rest, as those of 4×4 filters do."""
        return self.weight[0, 0].numel() > 9 and self.groups == 1 and self.dilation == (1, 1)

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution of a padded input as one matrix product, over the windows one by one."""
        (kh, kw), (sh, sw) = self.kernel, self.stride
        windows = x.unfold(2, kh, sh).unfold(3, kw, sw).permute(0, 2, 3, 4, 5, 1)
        rows, matrix = windows.flatten(3).flatten(0, 2), weight.permute(2, 3, 1, 0).flatten(0, 2)
        out = rows @ matrix if bias is None else torch.addmm(bias, rows, matrix)
        return out.unflatten(0, windows.shape[:3]).permute(0, 3, 1, 2)

    def linear(self, x: Tensor) -> Tensor:
        return self._conv(x, self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv(x, self.weight, self.bias)

    def magnitude(self, r: Tensor) -> Tensor:
        return self._conv(r, self.weight.abs())

    def transpose(self, g: Tensor, in_shape: Sequence[int]) -> Tensor:
        left, _, top, _ = self.padding
        return self._transposed(g, (top, top + in_shape[-2]), (left, left + in_shape[-1]))

    def transpose_padded(self, g: Tensor) -> Tensor:
        """``Wᵀ g`` over the padded input, as far as the last window reaches: (N, C, (H−1)·stride + kernel, …)."""
        axes = zip(g.shape[2:], self.stride, self.kernel, self.dilation, strict=True)
        rows, columns = ((size - 1) * stride + (kernel - 1) * step + 1 for size, stride, kernel, step in axes)
        return self._transposed(g, (0, rows), (0, columns))

    def _transposed(self, g: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """``Wᵀ g`` over some rows and columns, from … up to …, of the padded input.

        An ordinary convolution with one output for each phase of the stride, which is faster than the transposed one
        by up to four times, unless the kernel leaves many of the phases' taps empty.
        """
        (kh, kw), (sh, sw) = self.kernel, self.stride
        channels = self.weight.shape[1]
        empty = kh % sh or kw % sw
        if self.groups > 1 or self.dilation != (1, 1) or (empty and channels > 4):
            full = F.conv_transpose2d(g, self.weight, None, self.stride, 0, 0, self.groups, self.dilation)
            return _window(full, (0, 0), rows, columns)
        my, mx = -(-kh // sh), -(-kw // sw)
        taps = F.pad(self.weight, (0, mx * sw - kw, 0, my * sh - kh)) if empty else self.weight
        phases = taps.unflatten(3, (mx, sw)).unflatten(2, (my, sh)).permute(1, 3, 5, 0, 2, 4).flip(4, 5)
        pads = _enough(g.shape[2], my, sh, rows), _enough(g.shape[3], mx, sw, columns)
        out = F.conv2d(g, phases.reshape(-1, len(self.weight), my, mx), padding=pads)
        if (sh, sw) != (1, 1):
            out = out.unflatten(1, (channels, sh, sw)).permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)
        return _window(out, ((my - 1 - pads[0]) * sh, (mx - 1 - pads[1]) * sw), rows, columns)

    def offset(self) -> Tensor | None:
        return None if self.bias is None else self.bias[:, None, None]

    def terms(self) -> tuple[int, int]:
        filters, channels, height, width = self.weight.shape
        return channels * height * width, filters // self.groups * height * width

    def weight_rows(self) -> Tensor:
        return self.weight.flatten(1)

    def extra_repr(self) -> str:
        out, inp = self.weight.shape[:2]
        return f"{inp * self.groups}, {out}, kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


def _enough(size: int, taps: int, stride: int, wanted: tuple[int, int]) -> int:
    """Padding of ``size`` outputs with which a convolution of so many taps reaches the wanted inputs, on one axis."""
    first, last = wanted[0] // stride, min(-(-wanted[1] // stride), size + taps - 1)
    return max(taps - 1 - first, last - size, 0)


def _window(image: Tensor, corner: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Rows and columns, from … up to …, of an image that begins at ``corner``, with zeros where it has none.

    With stride > 1 the last rows of the padded input may not be read at all: their coefficients are 0.
    """
    (top, left), (height, width) = corner, image.shape[-2:]
    return padded(image, left - columns[0], columns[1] - left - width, top - rows[0], rows[1] - top - height)


class Linear(Affine):
    """Fully connected layer on inputs of shape (N, in_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        nn.init.normal_(self.weight, std=1 / math.sqrt(in_features))

    def linear(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def magnitude(self, r: Tensor) -> Tensor:
        return F.linear(r, self.weight.abs())

    def transpose(self, g: Tensor, in_shape: Sequence[int]) -> Tensor:
        return g @ self.weight

    def offset(self) -> Tensor | None:
        return self.bias

    def terms(self) -> tuple[int, int]:
        return self.weight.shape[1], self.weight.shape[0]

    def weight_rows(self) -> Tensor:
        return self.weight

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"


class Diagonal(Affine):
    """Each output is its own input times a factor, plus an offset: Wᵀ is W."""

    def transpose(self, g: Tensor, in_shape: Sequence[int]) -> Tensor:
        return self.linear(g)

    def terms(self) -> tuple[int, int]:
        return 1, 1


class Normalize(Diagonal):
    """Fixed channel normalisation ``(x − mean) / std``, inside the network so that every ε stays in pixel scale."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not all(s > 0 for s in std):  # radii are divided by it
            raise UserError(f"std must be > 0 in every channel, got {list(std)}")
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def linear(self, x: Tensor) -> Tensor:
        return x / self.std

    def magnitude(self, r: Tensor) -> Tensor:
        return r / self.std

    def offset(self) -> Tensor:
        return -self.mean / self.std


class Scale(Diagonal):
    """``factor ⊙ x`` with a fixed factor for each entry: the masks of pruned ReLUs.

    Args:
        factor: of the node's shape, without the batch axis.
    """

    factor: Tensor

    def __init__(self, factor: Tensor) -> None:
        super().__init__()
        self.register_buffer("factor", factor)

    def linear(self, x: Tensor) -> Tensor:
        return x * self.factor

    def magnitude(self, r: Tensor) -> Tensor:
        return r * self.factor.abs()

    def offset(self) -> None:
        return None

    def extra_repr(self) -> str:
        return f"{tuple(self.factor.shape)}"
