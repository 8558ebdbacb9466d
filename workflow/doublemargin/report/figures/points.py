"""Some test points of a model: the image, its smallest adversarial example, and their difference, amplified."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dmcore.files import atomic
from doublemargin.experiment.pictured import PicturedPoint
from doublemargin.report.figures.style import house_style

POINTS_IN_A_ROW = 8
INCHES = 1.15  # of an image
ROWS = ("test image", "smallest adversarial\nexample found", "difference, amplified;\ngrey: none")


def write_points(points: Sequence[PicturedPoint], title: str, out: Path) -> None:
    """Draws some points as a PNG."""
    with house_style(), atomic(out) as path:
        draw(points, title).savefig(path, format="png", dpi=150, metadata={"Software": "dmcore"})


def draw(points: Sequence[PicturedPoint], title: str) -> Figure:
    """Three images of each point, below each other; eight points beside each other."""
    columns = min(len(points), POINTS_IN_A_ROW)
    rows = 3 * math.ceil(len(points) / columns)
    figure = Figure(figsize=(INCHES * columns + 1.3, 1.35 * INCHES * rows + 0.4), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    for at, point in enumerate(points):
        row, column = 3 * (at // columns), at % columns
        images = _images(point)
        for below, (image, text) in enumerate(images):
            axis = figure.add_subplot(grid[row + below, column])
            axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.set_title(text, fontsize=7)
            if column == 0:
                axis.set_ylabel(ROWS[below], fontsize=7)
    figure.suptitle(title, fontsize=8)
    return figure


def _images(point: PicturedPoint) -> list[tuple[np.ndarray, str]]:
    """The three images, and what stands above each."""
    difference = point.adversarial - point.image
    largest = np.abs(difference).max()
    factor = 0.5 / largest if largest else 1.0
    return [
        (point.image, f"{point.label}, predicted {point.predicted}\n{_certified(point)}"),
        (point.adversarial, _broken(point)),
        (np.clip(0.5 + factor * difference, 0, 1), f"× {factor:,.{int(factor < 10)}f}" if largest else ""),
    ]


def _certified(point: PicturedPoint) -> str:
    return "misclassified" if math.isnan(point.radius) else f"certified ε {_rounded(point.radius, ROUND_FLOOR)}"


def _broken(point: PicturedPoint) -> str:
    if math.isinf(point.eps):
        return "none found"
    return f"predicted {point.adversarial_class}\nε {_rounded(point.eps, ROUND_CEILING)}"


def _rounded(eps: float, direction: str) -> str:
    """Three digits, to the safe side: what is printed is still certified, or still broken."""
    return f"{Context(prec=3, rounding=direction).create_decimal_from_float(eps):.3g}"
