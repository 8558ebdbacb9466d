"""The coefficients of all neurons of a convolution as maps: what one convolution of a map of slopes gives at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dmcore.domains.linear_relaxation.padding import padded
from dmcore.domains.linear_relaxation.patches import Pair, Patches
from dmcore.layers import Affine, Diagonal
from dmcore.nets.network import Shape

if TYPE_CHECKING:
    from dmcore.domains.linear_relaxation.coefficients import Coefficients


@dataclass(frozen=True, eq=False)
class Maps:
    """Patches in another order: ``data`` of shape (Gy, B, rows, columns, C, Sy, Sx, Gx, O).

    Entry u = S·g + r of the window of the neuron at (i, j) stands at ``data[g_y, :, i, j + g_x, :, r_y, r_x, g_x]``.
    What it multiplies depends on its place in the map and on g_y and r, but not on g_x. So sums over windows need no
    window to be copied.

    Attributes:
        terms: the coefficients are the sum of these tensors, each with its sign; a sum that is only ever measured
            (:meth:`abs_dot`) is never written out.
        patches: the same windows, without coefficients.
    """

    terms: tuple[tuple[int, Tensor], ...]
    patches: Patches

    @cached_property
    def data(self) -> Tensor:
        """The coefficients, summed up."""
        (sign, total), *rest = self.terms
        total = total if sign == 1 else -total
        for sign, term in rest:
            total = torch.add(total, term, alpha=sign)
        return total

    @property
    def _shape(self) -> torch.Size:
        return self.terms[0][1].shape

    @property
    def _phase(self) -> Pair:
        return self._shape[5], self._shape[6]

    def _neurons(self, t: Tensor) -> Tensor:
        """What the neurons' windows have of t (Gy, B, rows, columns, …, Gx, O): a view (Gy, B, i, j, …, Gx, O)."""
        t = t.contiguous()
        size, steps = list(t.shape), list(t.stride())
        size[3] = self.patches.grid[1]
        steps[-2] += steps[3]
        return t.as_strided(size, steps)

    @cached_property
    def explicit(self) -> Patches:
        """The same coefficients, window by window."""
        order = self._neurons(self.data).permute(1, 2, 3, 8, 4, 0, 5, 7, 6)  # (B, i, j, O, C, Gy, Sy, Gx, Sx)
        wide = order.flatten(7).flatten(5, 6).flatten(1, 2)
        kh, kw = self.patches.kernel
        return replace(self.patches, data=wide[..., :kh, :kw].flatten(3))

    def _beneath(self, t: Tensor) -> Tensor:
        """What each entry multiplies in t (B, C, H, W), zero outside: (Gy, B, rows, columns, C, Sy, Sx)."""
        (sh, sw), (top, left) = self._phase, self.patches.origin
        groups, rows, columns = self._shape[0], self._shape[2], self._shape[3]
        height, width = (rows + groups - 1) * sh, columns * sw
        cut = padded(t, left, width - left - t.shape[3], top, height - top - t.shape[2])
        phases = cut.unflatten(3, (-1, sw)).unflatten(2, (-1, sh)).permute(0, 2, 4, 1, 3, 5)
        return phases.unfold(1, rows, 1).permute(1, 0, 6, 2, 3, 4, 5)

    def dot(self, t: Tensor) -> Tensor:
        """A t with t of shape (B or 1, C, H, W): (B, P·O)."""
        return self._summed(t, absolute=False)

    def abs_dot(self, t: Tensor) -> Tensor:
        """|A| t: (B, P·O)."""
        return self._summed(t, absolute=True)

    @property
    def chain(self) -> int:
        """How many numbers :meth:`abs_dot` adds up one after the other, at most."""
        groups, *_, channels, rows, columns, across, _ = self._shape
        return groups + channels * rows * columns + across

    def _summed(self, t: Tensor, absolute: bool) -> Tensor:
        beneath = self._beneath(t).flatten(4)
        signs, terms = zip(*((sign, term.flatten(4, 6)) for sign, term in self.terms), strict=True)
        total: Tensor | float = 0.0
        for g in range(self._shape[0]):  # a slice at a time, which stays in the cache
            row: Tensor | None = None
            for k in range(beneath.shape[4]):
                part = terms[0][g, ..., k, :, :]
                part = part if signs[0] == 1 else -part
                for sign, term in zip(signs[1:], terms[1:], strict=True):
                    part = torch.add(part, term[g, ..., k, :, :], alpha=sign)
                part = part.abs() if absolute else part
                weight = beneath[g, ..., k, None, None]
                row = part * weight if row is None else torch.addcmul(row, part, weight)
            total = total + self._neurons(row[None])[0].sum(3)
        return total.flatten(1)

    def abs(self) -> Maps:
        """|A|."""
        return Maps(((1, self.data.abs()),), self.patches)

    def square(self) -> Maps:
        """A² of each coefficient."""
        return Maps(((1, self.data.square()),), self.patches)

    def __add__(self, other: Coefficients) -> Coefficients:
        if not isinstance(other, Maps):
            return self.explicit + other
        if not self.patches.same_windows(other.patches):
            return self.explicit + other.explicit
        return Maps(self.terms + other.terms, self.patches)

    def __sub__(self, other: Coefficients) -> Coefficients:
        if not isinstance(other, Maps):
            return self.explicit - other
        if not self.patches.same_windows(other.patches):
            return self.explicit - other.explicit
        return Maps(self.terms + tuple((-sign, term) for sign, term in other.terms), self.patches)

    def times(self, t: Tensor | float) -> Maps:
        """A · diag(t) with t of shape (B, C, H, W), or a plain number."""
        if not isinstance(t, Tensor):
            return Maps(((1, self.data * t),), self.patches)
        return Maps(((1, self.data * self._beneath(t)[..., None, None]),), self.patches)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        """A W: the same linear forms over the affine layer's input."""
        if isinstance(layer, Diagonal):
            ones = torch.ones(1, *in_shape, dtype=self.data.dtype, device=self.data.device)
            return self.times(layer.linear(ones))
        return self.explicit.through(layer, in_shape)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.explicit, name)
