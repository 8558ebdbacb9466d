"""What the coefficients A of linear forms ``A z`` over a node's values z can do, for a batch of samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from dmcore.nets.layers import Affine, MaxPool
from dmcore.nets.network import Shape


class Coefficients(ABC):
    """R linear forms of one node's values for each of B samples.

    :class:`Dense` holds every coefficient; :class:`Patches`, for the neurons of a convolution, only those inside each
    neuron's receptive field: for the paper's small CNN a tenth of the arithmetic and a thirtieth of the memory. These
    two define all that is below. The other kinds are not written out yet: what they do not define is done by their
    :attr:`explicit` form. Where all samples share their coefficients, the batch axis has length 1.
    """

    @property
    @abstractmethod
    def explicit(self) -> Coefficients:
        """The same coefficients, written out as :class:`Dense` or :class:`Patches`."""

    @property
    def reusable(self) -> Coefficients:
        """The same coefficients in a form that several computations can read; most are that already."""
        return self

    @property
    def summation_length(self) -> int:
        """How many numbers :meth:`abs_dot` adds up one after the other, at most."""
        return self.explicit.summation_length

    def __add__(self, other: Coefficients) -> Coefficients:
        return self.explicit + other

    def __sub__(self, other: Coefficients) -> Coefficients:
        return self.explicit - other

    def map(self, change: Callable[[Tensor], Tensor]) -> Coefficients:
        """Each coefficient changed by an element-wise function with ``change(0) = 0``."""
        return self.explicit.map(change)

    def abs(self) -> Coefficients:
        """|A|."""
        return self.map(torch.abs)

    def double(self) -> Coefficients:
        """The same in float64."""
        return self.explicit.double()

    def times(self, t: Tensor) -> Coefficients:
        """A · diag(t), t of shape (B, *shape)."""
        return self.explicit.times(t)

    def relaxed(self, slope: Tensor, half: Tensor, sign: int) -> Coefficients:
        """``A · diag(slope) + sign · |A| · diag(half)``, slope and half (B, *shape), sign ±1."""
        return self.explicit.relaxed(slope, half, sign)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        """A W: the same forms over the affine layer's input, of shape (B, *in_shape)."""
        return self.explicit.through(layer, in_shape)

    def through_pool(self, pool: MaxPool, slopes: Tensor, in_shape: Shape) -> Coefficients:
        """The forms over a max-pool's input, the pool relaxed with ``slopes`` (B, C, H, W, k·k) of its windows."""
        return self.explicit.through_pool(pool, slopes, in_shape)

    def dot(self, t: Tensor) -> Tensor:
        """A t, t of shape (B or 1, *shape): (B, R)."""
        return self.explicit.dot(t)

    def abs_dot(self, t: Tensor) -> Tensor:
        """|A| t, t of shape (B or 1, *shape): (B, R)."""
        return self.explicit.abs_dot(t)

    def abs_dots(self, other: Coefficients, t: Tensor) -> tuple[Tensor, Tensor]:
        """``|A| t`` of these coefficients and of others over the same node: (B, R) each."""
        return self.abs_dot(t), other.abs_dot(t)

    def square_dot(self, t: Tensor) -> Tensor:
        """A² t, with the square of each coefficient: (B, R)."""
        return self.map(torch.square).abs_dot(t)

    def norm(self, order: float) -> Tensor:
        """``‖A‖`` of each form, in the vector norm of ``order`` (1, 2 or inf): (B or 1, R)."""
        return self.explicit.norm(order)

    def broadcast(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Two tensors that broadcast: the coefficients, and what they multiply in t (B, *shape); last axes alike."""
        return self.explicit.broadcast(t)

    def dense(self) -> Tensor:
        """Every coefficient: (B or 1, R, *shape)."""
        return self.explicit.dense()

    def rows(self, values: Tensor) -> Tensor:
        """Values of each form (B, R), put into the node's own order where the forms are one for each of its values."""
        return self.explicit.rows(values)
