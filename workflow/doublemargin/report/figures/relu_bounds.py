"""Figure 3: the bounds that each certifier puts on an unstable ReLU, whose input has −l > u or −l < u."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmcore.registries import certifier as certifiers
from doublemargin.experiment.looks import COLORS
from doublemargin.experiment.registries import figure
from doublemargin.records.tidy import Records
from doublemargin.report.figures.style import WIDTH, house_style, save

CERTIFIERS = ("cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "ibp")
CASES = {"$-l > u$": (-1.6, 1.0), "$-l < u$": (-1.0, 1.6)}
"""(l, u) of the two cases."""

FOOT = -1.25
"""Where l and u are written."""

UPPER, LOWER = COLORS[0], COLORS[1]

LinearBound = tuple[float, float]
"""Slope and intercept: a polynomial as NumPy has them."""


def bounds(certifier: str, lower: float, upper: float) -> tuple[LinearBound, LinearBound]:
    """A certifier's (lower, upper) bound for a ReLU whose input is in [lower, upper], lower < 0 < upper."""
    if certifier == "ibp":
        return (0, 0), (0, upper)
    chord = upper / (upper - lower)
    slope = {"cnn-cert-relu": chord, "cnn-cert-ada": float(upper >= -lower), "cnn-cert-zero": 0}[certifier]
    return (slope, 0), (chord, -chord * lower)


@figure("relu_bounds")
def write(exhibit: Mapping[str, Any], records: Records, stem: Path) -> None:
    """Draws the figure, which needs no records; writes ``stem.png``, ``stem.svg`` and ``stem.pdf``."""
    with house_style():
        save(draw(), stem)


def draw() -> Figure:
    """A row for each case, a column for each certifier."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    figure.get_layout_engine().set(wspace=0.02, hspace=0.06)
    axes = figure.subplots(len(CASES), len(CERTIFIERS), sharex=True, sharey=True)
    for row, (case, (lower, upper)) in zip(axes, CASES.items(), strict=True):
        for axis, certifier in zip(row, CERTIFIERS, strict=True):
            _draw(axis, lower, upper, *bounds(certifier, lower, upper))
        row[0].text(-0.04, 0.5, case, transform=row[0].transAxes, rotation=90, ha="right", va="center")
    for axis, certifier in zip(axes[0], CERTIFIERS, strict=True):
        axis.set_title(certifiers.constant(certifier, "LABEL"))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _draw(axis: Axes, lower: float, upper: float, below: LinearBound, above: LinearBound) -> None:
    """ReLU, its bounds over [l, u] and what lies between them."""
    ends = [lower, upper]
    axis.axhline(0, color="#bbbbbb", linewidth=1, zorder=1)
    axis.axvline(0, color="#bbbbbb", linewidth=1, zorder=1)
    axis.fill_between(
        ends, np.polyval(below, ends), np.polyval(above, ends),
        facecolor="#eeeeee", edgecolor="#cccccc", hatch="////", linewidth=0, zorder=0, label="between the bounds",
    )  # fmt: skip
    axis.plot([-2.1, 0, 2.1], [0, 0, 2.1], color="black", linewidth=2.5, zorder=2, label="ReLU")
    look = {"linewidth": 1.8, "markersize": 4, "zorder": 4}
    axis.plot(ends, np.polyval(above, ends), color=UPPER, **look, marker="^", label="upper bound")
    axis.plot(ends, np.polyval(below, ends), color=LOWER, **look, marker="v", linestyle="--", label="lower bound")
    for z, name in ((lower, "$l$"), (upper, "$u$")):
        axis.plot([z, z], [FOOT, max(np.polyval(above, z), 0)], color="#777777", linewidth=1, linestyle=":", zorder=1)
        axis.annotate(name, (z, FOOT), (0, -2), textcoords="offset points", ha="center", va="top")
    axis.set(xlim=(-2.1, 2.1), ylim=(-1.7, 2.1), aspect="equal")
    axis.set_axis_off()
