"""Certified radii by bisection: how far around each point a certifier's bounds reach (CNN-Cert's own measure)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dmcore.certifiers import Certifier
from dmcore.certify import checked_points, verdicts
from dmcore.perturbation.ball import PIXELS, Range
from dmcore.perturbation.inputs import Radius
from dmcore.perturbation.radii import radius_grid
from dmcore.precision import full_precision
from dmcore.results import PointResults


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
    upper: Radius | None = None,
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
