"""A box: all values within some radius of a centre, element-wise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Box:
    """All values within ``radius`` ≥ 0 of ``center``, element-wise; radius may have batch size 1."""

    center: Tensor
    radius: Tensor

    @classmethod
    def between(cls, lower: Tensor, upper: Tensor) -> Box:
        """The box [lower, upper]."""
        return cls((lower + upper) / 2, (upper - lower) / 2)

    @property
    def lower(self) -> Tensor:
        """Smallest values."""
        return self.center - self.radius

    @property
    def upper(self) -> Tensor:
        """Largest values."""
        return self.center + self.radius
