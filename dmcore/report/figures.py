"""Figure 1: certified accuracy against ε, a curve a method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from dmcore.eps import Eps
from dmcore.files import atomic
from dmcore.report.records import Records
from dmcore.report.tables import cells_of, data_mark, row_values

mpl.use("Agg")
from matplotlib import pyplot as plt

# Okabe and Ito's colours, told apart with any colour vision; the markers tell the curves apart without colour.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "svg.hashsalt": "doublemargin",  # the same figure gives the same file
}


def write_figure(exhibit: Mapping[str, Any], records: Records, stem: Path) -> None:
    """Draws a figure from its resolved description and the tidy records; writes ``stem.png`` and ``stem.svg``."""
    panels = exhibit["panels"]
    with plt.rc_context(STYLE):
        size = (4.2 * len(panels), 3.2)
        figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False, sharey=True, layout="constrained")
        figure.get_layout_engine().set(wspace=0.06)
        for axis, panel in zip(axes[0], panels, strict=True):
            _draw(axis, panel, records.certified_accuracy)
        axes[0][0].set_ylabel("certified accuracy (%)")
        handles = {label: h for axis in axes[0] for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        if handles:
            figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
        for suffix, options in ((".png", {"dpi": 200}), (".svg", {"metadata": {"Date": None}})):
            with atomic(stem.with_suffix(suffix)) as path:
                figure.savefig(path, format=suffix[1:], **options)
        plt.close(figure)


def _draw(axis: Any, panel: Mapping[str, Any], certified: pd.DataFrame) -> None:
    cells = cells_of(panel, certified)
    radii = [Eps.parse(e) for e in panel["eps_cert"]]
    in_255ths = any("/" in r.label for r in radii)
    for i, row in enumerate(panel["rows"]):
        points = [
            (float(r) * (255 if in_255ths else 1), 100 * value.share)
            for r, value in zip(radii, row_values(panel, row, cells), strict=True)
            if value.share is not None
        ]
        if points:
            eps = "" if row["eps"] == "none" else f", ε = {Eps.parse(row['eps']).label}"
            style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
            style |= {"linestyle": "--" if row["baseline"] else "-", "markersize": 4, "clip_on": False}
            axis.plot(*zip(*points, strict=True), label=row["label"] + eps, zorder=3, **style)
    axis.set_title(panel["title"] + data_mark(cells).replace(" [", "\n["), fontsize=9)
    axis.set_xlabel("ε of the certificate" + (" (1/255)" if in_255ths else ""))
    axis.set_ylim(0, 100)
    axis.set_xlim(left=0)
