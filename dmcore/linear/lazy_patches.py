"""The coefficients of all neurons of a convolution, made block by block while they are added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from dmcore.linear.coefficients import Coefficients
from dmcore.linear.dense import add_product
from dmcore.linear.fused import FusedConvolution
from dmcore.linear.patches import Patches, signed_sum
from dmcore.nets.layers import Affine, Diagonal
from dmcore.nets.layers.padding import padded
from dmcore.nets.network import Shape


@dataclass(frozen=True, eq=False)
class LazyPatches(Coefficients):
    """``(± fused ± …) · diag(scale)``: sums of :class:`FusedConvolution`, as long as only dot products are asked for.

    Attributes:
        terms: what is added up, each with its sign.
        patches: the same windows, without coefficients.
        scale: (B or 1, C, H, W); None: 1.
    """

    terms: tuple[tuple[int, FusedConvolution], ...]
    patches: Patches
    scale: Tensor | None = None

    @classmethod
    def of(cls, fused: FusedConvolution, patches: Patches) -> LazyPatches:
        """A single one."""
        return cls(((1, fused),), patches)

    @cached_property
    def explicit(self) -> Patches:
        total = signed_sum((sign, fused.explicit) for sign, fused in self.terms)
        return total if self.scale is None else total.times(self.scale)

    @property
    def reusable(self) -> Patches:
        """Written out: each dot product would make all blocks again."""
        return self.explicit

    def dot(self, t: Tensor) -> Tensor:
        return self._added_up([self], t, lambda part: part)[0]

    def abs_dot(self, t: Tensor) -> Tensor:
        return self._added_up([self], t, _abs)[0]

    def square_dot(self, t: Tensor) -> Tensor:
        return self._added_up([self], t, _square)[0]

    def abs_dots(self, other: Coefficients, t: Tensor) -> tuple[Tensor, Tensor]:
        """``|A| t`` of both: (B, P·O) each; what is in both is made once."""
        if not self._aligned(other):
            return super().abs_dots(other, t)
        one, two = self._added_up([self, other], t, _abs)
        return one, two

    def _aligned(self, other: Coefficients) -> bool:
        """Whether the blocks of both stand for the same entries, scaled alike."""
        lazy = isinstance(other, LazyPatches) and self.scale is other.scale
        return lazy and self.patches.same_windows(other.patches)

    @property
    def summation_length(self) -> int:
        """How many numbers one after the other go into what has been added up so far, at most."""
        first = self.terms[0][1]
        in_blocks = first.groups[0] * first.groups[1] + torch.Size(first.entries).numel()
        return max(in_blocks, self.explicit.summation_length) if "explicit" in self.__dict__ else in_blocks

    def _beneath(self, t: Tensor) -> Tensor:
        """What the blocks' entries multiply in t (B, C, H, W): (B, rows + Gy − 1, columns + Gx − 1, C·Sy·Sx, 1)."""
        fused = self.terms[0][1]
        (_, sy, sx), (gy, gx), (rows, columns) = fused.entries, fused.groups, self.patches.grid
        (top, left), (height, width) = self.patches.origin, ((rows + gy - 1) * sy, (columns + gx - 1) * sx)
        cut = padded(t, left, width - left - t.shape[3], top, height - top - t.shape[2])
        phases = cut.unflatten(3, (-1, sx)).unflatten(2, (-1, sy)).permute(0, 2, 4, 1, 3, 5)
        return phases.flatten(3)[..., None]

    @staticmethod
    def _added_up(forms: Sequence[LazyPatches], t: Tensor, size: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """The sum of ``size(coefficient) · t`` of each of the forms, whose windows and scale are the same."""
        scale, (rows, columns) = forms[0].scale, forms[0].patches.grid
        beneath = forms[0]._beneath(t if scale is None else size(scale.clone()) * t)
        convolutions = list(dict.fromkeys(fused for form in forms for _, fused in form.terms))
        totals: list[Tensor | None] = [None] * len(forms)
        for gx in range(convolutions[0].groups[1]):
            for gy, blocks in enumerate(zip(*(fused.column(gx) for fused in convolutions), strict=True)):
                made = dict(zip(convolutions, blocks, strict=True))
                weight = beneath[:, gy : gy + rows, gx : gx + columns]
                for i, form in enumerate(forms):
                    part = size(form._block(made, alone=len(forms) == 1)).unflatten(1, (rows, columns))
                    totals[i] = part * weight if totals[i] is None else add_product(totals[i], part, weight)
        return [total.sum(3).flatten(1) for total in totals]

    def _block(self, made: dict[FusedConvolution, Tensor], alone: bool) -> Tensor:
        """The sum of one block of each term, a tensor that may be changed."""
        (sign, first), *rest = self.terms
        total = made[first]
        if not rest and not alone:
            total = total.clone()
        total = total if sign == 1 else -total
        for sign, fused in rest:
            total = torch.add(total, made[fused], alpha=sign)
        return total

    def __add__(self, other: Coefficients) -> Coefficients:
        return self._combined(other, 1)

    def __sub__(self, other: Coefficients) -> Coefficients:
        return self._combined(other, -1)

    def _combined(self, other: Coefficients, sign: int) -> Coefficients:
        """self + sign · other."""
        if self._aligned(other):
            return replace(self, terms=self.terms + tuple((sign * own, fused) for own, fused in other.terms))
        return self.explicit + other.explicit if sign == 1 else self.explicit - other.explicit

    def times(self, t: Tensor | float) -> LazyPatches | Patches:
        if not isinstance(t, Tensor):
            return self.explicit.times(t)
        return replace(self, scale=t if self.scale is None else self.scale * t)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        if isinstance(layer, Diagonal):
            like = self.terms[0][1].slopes
            return self.times(layer.linear(torch.ones(1, *in_shape, dtype=like.dtype, device=like.device)))
        return self.explicit.through(layer, in_shape)


# In place where no gradient needs both values: the blocks are of the size of a cache, and stay in it.


def _abs(t: Tensor) -> Tensor:
    return t.abs() if torch.is_grad_enabled() else t.abs_()


def _square(t: Tensor) -> Tensor:
    return t.square() if torch.is_grad_enabled() else t.square_()
