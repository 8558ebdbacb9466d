"""The radii that a bisection chooses from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.norms import check_radius
from dmcore.perturbation.ball import PIXELS, Range
from dmcore.perturbation.inputs import Radius

SMALLEST = 1e-6
"""The smallest radius > 0 that is tried, as a share of the largest."""


def radius_grid(x: Tensor, norm: str, upper: Radius | None, tolerance: float, input_range: Range = PIXELS) -> Tensor:
    """The radii of a bisection, float64 on the CPU, in order: first 0, last +inf, which stands for none.

    Args:
        x, norm, upper, tolerance, input_range: as :func:`dmcore.radius.certified_radius`.
    """
    if upper is None:
        size, (low, high) = x[0].numel() if len(x) else 1, input_range
        upper = size if norm == "l0" else (high - low) * size ** {"linf": 0.0, "l2": 0.5, "l1": 1.0}[norm]
    upper = float(Eps.parse(upper) if isinstance(upper, str) else upper)
    if not 0 < upper < math.inf:
        raise UserError(f"upper must be a finite radius > 0, got {upper:g}")
    check_radius(norm, upper)
    if norm == "l0":
        return torch.tensor([*range(int(upper) + 1), math.inf], dtype=torch.float64, device="cpu")
    if not 0 < tolerance < math.inf:
        raise UserError(f"tolerance must be a number > 0, got {tolerance:g}")
    steps = math.ceil(-math.log(SMALLEST) / math.log1p(tolerance))
    radii = [0.0, *(upper * SMALLEST ** (1 - step / steps) for step in range(steps + 1)), math.inf]
    return torch.tensor(radii, dtype=torch.float64, device="cpu")
