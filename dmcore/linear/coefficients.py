"""What the coefficients A of linear forms ``A z`` over a node's values z can do, for a batch of samples."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from dmcore.nets.layers import Affine, MaxPool
from dmcore.nets.network import Shape


class Coefficients(ABC):
    """R linear forms of one node's values for each of B samples.

    :class:`Dense` holds every coefficient; :class:`Patches`, for the neurons of a convolution, only those inside each
    neuron's receptive field: for the paper's small CNN a tenth of the arithmetic and a thirtieth of the memory. The
    others are :class:`Deferred`. Where all samples share their coefficients, the batch axis has length 1.
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
    @abstractmethod
    def shared(self) -> bool:
        """Whether all samples (and positions, for patches) have the same coefficients."""

    @property
    @abstractmethod
    def summation_length(self) -> int:
        """How many numbers :meth:`abs_dot` adds up one after the other, at most."""

    @abstractmethod
    def __add__(self, other: Coefficients) -> Coefficients: ...

    @abstractmethod
    def __sub__(self, other: Coefficients) -> Coefficients: ...

    @abstractmethod
    def abs(self) -> Coefficients:
        """|A|."""

    @abstractmethod
    def positive(self) -> Coefficients:
        """max(A, 0)."""

    @abstractmethod
    def negative(self) -> Coefficients:
        """min(A, 0)."""

    @abstractmethod
    def double(self) -> Coefficients:
        """The same in float64."""

    @abstractmethod
    def times(self, t: Tensor | float) -> Coefficients:
        """A · diag(t), t of shape (B, *shape) or a plain number."""

    def relaxed(self, slope: Tensor, half: Tensor, sign: int) -> Coefficients:
        """``A · diag(slope) + sign · |A| · diag(half)``, slope and half (B, *shape), sign ±1."""
        middle, radius = self.times(slope), self.abs().times(half)
        return middle + radius if sign > 0 else middle - radius

    @abstractmethod
    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        """A W: the same forms over the affine layer's input, of shape (B, *in_shape)."""

    @abstractmethod
    def through_pool(self, pool: MaxPool, slopes: Tensor, in_shape: Shape) -> Coefficients:
        """The forms over a max-pool's input, the pool relaxed with ``slopes`` (B, C, H, W, k·k) of its windows."""

    @abstractmethod
    def dot(self, t: Tensor) -> Tensor:
        """A t, t of shape (B or 1, *shape): (B, R)."""

    @abstractmethod
    def abs_dot(self, t: Tensor) -> Tensor:
        """|A| t, t of shape (B or 1, *shape): (B, R)."""

    @abstractmethod
    def square_dot(self, t: Tensor) -> Tensor:
        """A² t, with the square of each coefficient: (B, R)."""

    def abs_dots(self, other: Coefficients, t: Tensor) -> tuple[Tensor, Tensor]:
        """``|A| t`` of these coefficients and of others over the same node: (B, R) each."""
        return self.abs_dot(t), other.abs_dot(t)

    @abstractmethod
    def norm(self, order: float) -> Tensor:
        """``‖A‖`` of each form, in the vector norm of ``order`` (1, 2 or inf): (B or 1, R)."""

    @abstractmethod
    def broadcast(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Two tensors that broadcast: the coefficients, and what they multiply in t (B, *shape); last axes alike."""

    @abstractmethod
    def dense(self) -> Tensor:
        """Every coefficient: (B or 1, R, *shape)."""

    @abstractmethod
    def rows(self, values: Tensor) -> Tensor:
        """Values of each form (B, R), put into the node's own order where the forms are one for each of its values."""


class Deferred(Coefficients):
    """Coefficients that are not written out yet: what a subclass cannot do without, :attr:`explicit` does."""

    @property
    def shared(self) -> bool:
        return self.explicit.shared

    @property
    def summation_length(self) -> int:
        return self.explicit.summation_length

    def __add__(self, other: Coefficients) -> Coefficients:
        return self.explicit + other

    def __sub__(self, other: Coefficients) -> Coefficients:
        return self.explicit - other

    def abs(self) -> Coefficients:
        return self.explicit.abs()

    def positive(self) -> Coefficients:
        return self.explicit.positive()

    def negative(self) -> Coefficients:
        return self.explicit.negative()

    def double(self) -> Coefficients:
        return self.explicit.double()

    def times(self, t: Tensor | float) -> Coefficients:
        return self.explicit.times(t)

    def through(self, layer: Affine, in_shape: Shape) -> Coefficients:
        return self.explicit.through(layer, in_shape)

    def through_pool(self, pool: MaxPool, slopes: Tensor, in_shape: Shape) -> Coefficients:
        return self.explicit.through_pool(pool, slopes, in_shape)

    def dot(self, t: Tensor) -> Tensor:
        return self.explicit.dot(t)

    def abs_dot(self, t: Tensor) -> Tensor:
        return self.explicit.abs_dot(t)

    def square_dot(self, t: Tensor) -> Tensor:
        return self.explicit.square_dot(t)

    def norm(self, order: float) -> Tensor:
        return self.explicit.norm(order)

    def broadcast(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.explicit.broadcast(t)

    def dense(self) -> Tensor:
        return self.explicit.dense()

    def rows(self, values: Tensor) -> Tensor:
        return self.explicit.rows(values)
