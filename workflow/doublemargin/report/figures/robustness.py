"""Accuracies of one network over ε, as a figure by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dmcore.files import atomic
from doublemargin.experiment.looks import METHODS
from doublemargin.report.figures.style import house_style


def write_curves(curves: Mapping[str, Sequence[tuple[float, float]]], title: str, out: Path) -> None:
    """Draws shares of points over ε as a PNG."""
    with house_style(), atomic(out) as path:
        figure = Figure(figsize=(4.2, 3), layout="constrained")
        axis = figure.subplots()
        for (label, points), look in zip(curves.items(), METHODS, strict=False):
            axis.plot(
                *zip(*((eps, 100 * share) for eps, share in points), strict=True), label=label, markersize=3.5, **look
            )
        axis.set(xlabel="ε", ylabel="points (%)", title=title, ylim=(0, 102))
        axis.set_xlim(left=0)
        axis.grid(visible=True)
        axis.legend()
        figure.savefig(path, format="png", dpi=150, metadata={"Software": "dmcore"})
