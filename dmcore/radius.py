"""Certified radii by bisection: how far around each point a certifier's bounds reach (CNN-Cert's own measure)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dmcore.certifiers import Certifier
from dmcore.certify import checked_points, verdicts
from dmcore.errors import UserError
from dmcore.norms import check_radius
from dmcore.perturbation.ball import PIXELS, Range
from dmcore.precision import full_precision
from dmcore.results import PointResults

SMALLEST = 1e-6
"""The smallest radius > 0 that is tried, as a share of the largest."""


@dataclass(frozen=True, repr=False)
class Radii(PointResults):
    """The outcome of each bisection; both (B,) float64.

    Attributes:
        radius: the largest ε that was seen certified; 0 where only the point itself is, NaN where not even that: points
            that are misclassified have no radius, and averages leave them out, as CNN-Cert's do.
        refused: the smallest ε > radius that was tried and not certified; +inf where the largest was certified, NaN
            where there is no radius.
    """

    radius: Tensor
    refused: Tensor

    @property
    def median(self) -> float:
        """Of the points that have a radius; NaN if none has."""
        return self.radius.nanquantile(0.5).item() if len(self) else math.nan

    def _summary(self) -> str:
        return f"median radius {self.median:.4g}, {int(self.radius.isnan().sum())} without"


@torch.no_grad()
@full_precision()
def certified_radius(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: str = "linf",
    certifier: str | Certifier = "cnn-cert-relu",
    clip_input: bool = False,
    upper: float | None = None,
    tolerance: float = 0.01,
    input_range: Range = PIXELS,
) -> Radii:
    """Bisects, for each point, for the largest ε at which :func:`dmcore.certify.certify_points` says yes.

    Every point is robust at its radius, and so at all smaller ε: a certificate speaks of the whole ball. Bounds with
    adaptive lines need not fall with ε, so that one above ``refused`` may be certified all the same.

    The bisection is in log scale, as CNN-Cert's, on radii that all points share. Under ``l0`` it is among the whole
    numbers, and exact.

    Args:
        net, x, y, norm, certifier, clip_input, input_range: as :func:`dmcore.certify.margin_bounds`.
        upper: the largest ε tried; by default the distance between opposite corners of the inputs' range.
        tolerance: ``refused`` ≤ (1 + tolerance) · radius, but for radii below 1e-6 · ``upper``, which are 0.

    Raises:
        UserError: as ``margin_bounds``; an ``upper`` or tolerance that is none.
    """
    graph, ball, labels = checked_points(net, x, y, 0.0, norm, clip_input, input_range)
    radii = radius_grid(x, norm, upper, tolerance, input_range)

    def certified(points: Tensor, eps: Tensor | float) -> Tensor:
        points = points.to(x.device)
        eps = eps.to(x.device) if isinstance(eps, Tensor) else eps
        balls = replace(ball, x=ball.x[points], eps=eps)
        return verdicts(graph, balls, labels[points], certifier).certified.cpu()

    start = certified(torch.arange(len(x), device="cpu"), 0.0)
    below = torch.zeros(len(x), dtype=torch.long, device="cpu")  # certified at radii[below], refused at radii[above]
    above = torch.where(start, len(radii) - 1, 0)
    while (unknown := above - below > 1).any():  # in log₂ of the grid's length rounds
        points = unknown.nonzero()[:, 0]
        middle = (below + above)[points] // 2
        yes = certified(points, radii[middle])
        below[points[yes]], above[points[~yes]] = middle[yes], middle[~yes]
    return Radii(radii[below].where(start, torch.nan), radii[above].where(start, torch.nan))


def radius_grid(x: Tensor, norm: str, upper: float | None, tolerance: float, input_range: Range = PIXELS) -> Tensor:
    """The radii of a bisection, float64 on the CPU, in order: first 0, last +inf, which stands for none.

    Args:
        x, norm, upper, tolerance, input_range: as :func:`certified_radius`.
    """
    if upper is None:
        size, (low, high) = x[0].numel() if len(x) else 1, input_range
        upper = size if norm == "l0" else (high - low) * size ** {"linf": 0.0, "l2": 0.5, "l1": 1.0}[norm]
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
