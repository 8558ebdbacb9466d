"""The layers that are not affine: ReLU and max-pooling. Both are monotone in every input."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Nonlinear(nn.Module):
    """A layer whose linear bounds depend on the range of its input, which must therefore be bounded first."""


class ReLU(Nonlinear):
    """σ(z) = max(z, 0), element-wise."""

    def forward(self, z: Tensor) -> Tensor:
        return z.relu()


class MaxPool(Nonlinear):
    """2-d max-pooling; padding counts as −∞, so a padded entry never wins."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, z: Tensor) -> Tensor:
        return F.max_pool2d(z, self.kernel, self.stride, self.padding)

    @property
    def apart(self) -> bool:
        """Whether no two windows share an entry and none is padded."""
        return self.stride == self.kernel and self.padding == (0, 0)

    def entries(self, z: Tensor) -> tuple[Tensor, ...]:
        """The entries of windows that are :attr:`apart`, one by one: (N, C, H, W) to k·k times (N, C, H', W')."""
        return _Entries.apply(z, self.kernel)

    def windows(self, z: Tensor, pad_value: float) -> Tensor:
        """The entries each output is the maximum of: (N, C, H, W) to (N, C, H', W', k·k)."""
        (kh, kw), (sh, sw), (ph, pw) = self.kernel, self.stride, self.padding
        padded = F.pad(z, (pw, pw, ph, ph), value=pad_value)
        return padded.unfold(2, kh, sh).unfold(3, kw, sw).flatten(-2)

    def unwindows(self, g: Tensor, in_shape: tuple[int, ...]) -> Tensor:
        """Adds window entries back to where they came from: (N, C, H', W', k·k) to (N, C, H, W)."""
        n, c, h, w, k = g.shape
        columns = g.permute(0, 1, 4, 2, 3).reshape(n, c * k, h * w)
        return F.fold(columns, in_shape[-2:], self.kernel, 1, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, padding={self.padding}"


class _Entries(torch.autograd.Function):
    """:meth:`MaxPool.entries`, whose gradient is written in one pass."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, kernel: tuple[int, int]) -> tuple[Tensor, ...]:
        ctx.shape, ctx.kernel = z.shape, kernel
        return tuple(part.contiguous() for part in _parts(z, kernel))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].new_empty(ctx.shape)
        if any(size % length for size, length in zip(ctx.shape[2:], ctx.kernel, strict=True)):
            whole.zero_()  # no window has the last rows or columns
        for part, gradient in zip(_parts(whole, ctx.kernel), gradients, strict=True):
            part.copy_(gradient)
        return whole, None


def _parts(z: Tensor, kernel: tuple[int, int]) -> list[Tensor]:
    (kh, kw), (height, width) = kernel, z.shape[2:]
    whole = z[:, :, : height // kh * kh, : width // kw * kw]
    return [whole[:, :, i::kh, j::kw] for i in range(kh) for j in range(kw)]
