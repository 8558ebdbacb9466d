"""Regularisers R(θ) of the unified objective L(θ) + λ R(θ) (§3.1, Table 1). One file each.

A new one is a dataclass with a ``value`` in a file here, under ``@regularizer("name")``; its fields are the options
it takes in ``config.yaml``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from dmcore.regularizers.batch import Batch

__all__ = ["Batch", "Regularizer"]


class Regularizer(ABC):
    """One term R of the objective."""

    NEEDS_EPS: ClassVar[bool] = False
    """Whether R depends on ε: a method with such a term is trained at an ε_train."""

    @abstractmethod
    def value(self, batch: Batch) -> Tensor:
        """R(θ) on this batch, a scalar that can be differentiated."""
