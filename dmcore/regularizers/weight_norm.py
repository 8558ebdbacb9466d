"""Weight regularisation (Table 1): ℓ₂ by Frobenius norms, ℓ₁ by the layers' ℓ∞ operator norms or by all entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from dmcore.nets.layers import Affine
from dmcore.registries import regularizer
from dmcore.regularizers import Batch, Regularizer


@regularizer("weight_norm")
@dataclass
class WeightNorm(Regularizer):
    """Σ or Π over the layers of ‖W‖; a convolution's kernel counts as a matrix (out, in·k·k), a row a filter.

    Attributes:
        norm: ``l1`` is the ℓ∞ operator norm, ``l2`` the squared Frobenius norm (its root in the product form),
            ``entries`` the sum of all absolute entries, which is what certified training calls ℓ₁ today.
        form: the sum over the layers, or the product.
    """

    norm: Literal["l1", "l2", "entries"]
    form: Literal["sum", "product"] = "sum"

    def value(self, batch: Batch) -> Tensor:
        """R(θ); the batch does not matter."""
        matrices = [layer.weight_rows() for layer in batch.net.layers if isinstance(layer, Affine)]
        weights = [w for w in matrices if w is not None]
        if self.norm != "l2":
            rows = [w.abs().sum(1) for w in weights]
            norms = torch.stack([row.amax() if self.norm == "l1" else row.sum() for row in rows])
            return norms.sum() if self.form == "sum" else Product.apply(norms)
        squares = torch.stack([w.square().sum() for w in weights])
        return squares.sum() if self.form == "sum" else Product.apply(squares.sqrt())


class Product(torch.autograd.Function):
    """Π of numbers > 0. To look for zeros, as torch's gradient does, waits for a GPU and cannot be part of a graph."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor) -> Tensor:
        """The product, without axes."""
        product = numbers.prod()
        ctx.save_for_backward(numbers, product)
        return product

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Of each number the product of the others."""
        numbers, product = ctx.saved_tensors
        return gradient * (product / numbers)
