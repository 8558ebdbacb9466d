"""Figure 1: certified accuracy against ε, ours beside the paper's; a plot for each ε_train."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from dmcore.eps import Eps
from doublemargin.experiment.looks import BASELINES, METHODS, Look
from doublemargin.experiment.registries import figure
from doublemargin.records.statistics import wilson_interval
from doublemargin.records.tidy import Records
from doublemargin.report.build_table import Lookup
from doublemargin.report.figures import style
from doublemargin.report.origin import cells_of, data_mark, shortening
from doublemargin.report.tables import Row

PLOT_ENTRIES, ENTRY_INCHES = 12, 1 / 6
"""Entries of a legend that fit in a plot's place, and the height of each."""

NO_ENDS = (math.nan, math.nan)
Plots = list[tuple[str, list["Curve"]]]

OURS: Look = {"linewidth": 1.6, "markersize": 4, "zorder": 3}
PAPERS: Look = {"linewidth": 1.0, "markersize": 5, "markerfacecolor": "white", "alpha": 0.6, "zorder": 2}
BAND: Look = {"alpha": 0.15, "linewidth": 0, "zorder": 1}
SEED: Look = {"marker": "o", "edgecolors": "white", "linewidths": 0.3, "s": 6, "zorder": 4}


@dataclass(frozen=True)
class Curve:
    """One method at one ε_train, with the paper's values beside ours.

    Attributes:
        look: its method's, the same in all figures.
    """

    row: Row
    look: Look

    @property
    def accuracy(self) -> list[float]:
        """Ours in percent at each of the panel's ε, the mean over the models that were run; NaN where none was."""
        return [100 * cell.ours.value if cell.ours else math.nan for cell in self.row.cells]

    @property
    def papers(self) -> list[float]:
        """The paper's in percent; NaN where illegible or not printed."""
        return [100 * cell.paper.value if cell.paper else math.nan for cell in self.row.cells]

    @property
    def band(self) -> tuple[list[float], list[float]]:
        """The ends of the models' 95% Wilson intervals in percent, the mean over models."""
        of_models = [[wilson_interval(v.count("1"), len(v)) for v in cell.verdicts] for cell in self.row.cells]
        low, high = np.transpose([100 * np.mean(ends or [NO_ENDS], axis=0) for ends in of_models]).tolist()
        return low, high

    @property
    def seeds(self) -> list[tuple[int, float]]:
        """The place of ε and the accuracy in percent of each single model, where several were run."""
        return [(i, 100 * a) for i, c in enumerate(self.row.cells) if len(c.shares) > 1 for a in c.shares]

    @property
    def status(self) -> str:
        """``run``, ``partly`` where models or ε are missing, or ``not run``."""
        found = {cell.status for cell in self.row.cells}
        return found.pop() if len(found) == 1 else "partly"

    @property
    def name(self) -> str:
        """The method with its ε_train."""
        return self.row.label + (f" at {self.row.eps}" if self.row.eps else "")


@figure("curves")
def write(exhibit: Mapping[str, Any], records: Records, stem: Path) -> None:
    """Draws a resolved exhibit; writes ``stem.png``, ``stem.svg`` and ``stem.pdf``."""
    with style.house_style():
        style.save(draw(exhibit, records), stem)


def draw(exhibit: Mapping[str, Any], records: Records) -> Figure:
    """A row of plots for each panel, or one row if every panel has a single plot."""
    panels, lookup = exhibit["panels"], Lookup.of(records, exhibit["reported"])
    tables = [papers_table(panel, lookup) for panel in panels]
    drawn = [curves(panel, lookup, table) for panel, table in zip(panels, tables, strict=True)]
    plots = [_by_eps_train(of_panel) for of_panel in drawn]

    letters = style.panel_letters(panels)
    across = max(map(len, plots))
    handles = _legend([curve for of_panel in drawn for curve in of_panel])
    spare = len(handles) <= PLOT_ENTRIES and any(len(row) < across for row in plots)
    lines = math.ceil(len(handles) / 3)
    rows = len(panels) if across > 1 else 1
    height = 2.3 * rows + (0.3 if spare else 0.5 + ENTRY_INCHES * max(lines, 3))
    figure = Figure(figsize=(style.WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.04, hspace=0.06)
    axes = figure.subplots(rows, across if across > 1 else len(panels), squeeze=False, sharey="row")
    for i, (panel, row, places) in enumerate(zip(panels, plots, axes if across > 1 else axes.T, strict=True)):
        mark = data_mark(cells_of(panel, records.certified_accuracy))
        title = f"{letters[i]}{panel['title']}, schedule {exhibit['schedule']}{mark}".replace(
            " points)", "\u00a0points)"
        )
        width = style.PAGE_LETTERS if across > 1 else style.PAGE_LETTERS // len(panels) - 4
        _draw_panel(places, panel, textwrap.wrap(title, width, break_on_hyphens=False), row)
    for axis in axes[:, 0]:
        axis.set_ylabel("certified accuracy (%)")

    if spare:
        place = next(places[-1] for places, row in zip(axes, plots, strict=True) if len(row) < across)
        place.legend(handles=handles, loc="center")
    else:
        figure.legend(handles=handles, loc="outside upper center", ncols=math.ceil(len(handles) / lines))
    notes = [*shortening(exhibit), *_notes(dict(zip(letters, drawn, strict=True)), tables)]
    figure.supxlabel(style.wrapped(notes), fontsize=8, x=0.01, ha="left")
    return figure


def curves(panel: Mapping[str, Any], lookup: Lookup, table: str) -> list[Curve]:
    """A panel's curves, in the order of its rows, the paper's values from one of its tables."""
    return [
        Curve(lookup.row(table, panel, row), (BASELINES if row["baseline"] else METHODS)[row["look"]])
        for row in panel["rows"]
    ]


def papers_table(panel: Mapping[str, Any], lookup: Lookup) -> str:
    """The paper's table that has most of a panel's cells, the first of several; empty if none has any.

    Some cells stand in several tables, with other numbers where the paper trained a model anew.
    """
    legible = {
        table: sum(cell.paper is not None for row in panel["rows"] for cell in lookup.row(table, panel, row).cells)
        for table in dict.fromkeys(key[0] for key in lookup.reported)
    }
    best = max(legible, key=legible.__getitem__, default="")
    return best if legible.get(best) else ""


def _by_eps_train(drawn: Sequence[Curve]) -> Plots:
    """The curves of each ε_train; those without one go with all."""
    found = list(dict.fromkeys(c.row.eps for c in drawn if c.row.eps)) or [""]
    return [(eps, [c for c in drawn if c.row.eps in (eps, "")]) for eps in found]


def _draw_panel(places: Sequence[Axes], panel: Mapping[str, Any], title: Sequence[str], plots: Plots) -> None:
    radii = [Eps.parse(eps) for eps in panel["eps_cert"]]
    in_255ths = any("/" in r.label for r in radii)
    x = [float(r) * (255 if in_255ths else 1) for r in radii]
    for axis, (eps, drawn) in zip(places, plots, strict=False):
        for curve in drawn:
            _draw_curve(axis, x, curve)
        trained = f"$\\epsilon_\\mathrm{{train}}$ = {eps}" if eps else ""
        axis.set_title("\n" * len(title) + trained, loc="left")
        axis.set_xlabel("ε of the certificate" + (" (1/255)" if in_255ths else ""))
        axis.set_xlim(-0.02 * max(x), 1.02 * max(x))
        axis.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=in_255ths))
        axis.grid(visible=True)
    # Over all plots of the row, in the room that their own titles leave.
    above = {"xy": (0, 1), "xycoords": "axes fraction", "xytext": (0, 18), "textcoords": "offset points"}
    places[0].annotate("\n".join(title), **above, in_layout=False)
    for axis in places[len(plots) :]:
        axis.set_axis_off()
    shown = [y for _, drawn in plots for c in drawn for y in (*c.band[1], *c.papers) if not math.isnan(y)]
    places[0].set_ylim(0, 20 * math.ceil(max(shown, default=100) / 20))


def _draw_curve(axis: Axes, x: Sequence[float], curve: Curve) -> None:
    if not all(map(math.isnan, curve.papers)):
        axis.plot(x, curve.papers, label=f"{curve.name}, paper", clip_on=False, **curve.look, **PAPERS)
    if curve.status != "not run":
        axis.plot(x, curve.accuracy, label=curve.name, clip_on=False, **curve.look, **OURS)
        axis.fill_between(x, *curve.band, color=curve.look["color"], **BAND)
    if curve.seeds:
        singles = [(x[i], y) for i, y in curve.seeds]
        axis.scatter(*zip(*singles, strict=True), color=curve.look["color"], clip_on=False, **SEED)


def _legend(drawn: Sequence[Curve]) -> list[Any]:
    """Colour, marker and line style say the method; fill and width say whose."""
    methods = {(c.row.label, c.look["marker"], c.look["color"]): c.look for c in drawn}
    handles: list[Any] = [Line2D([], [], label=label, **look, **OURS) for (label, *_), look in methods.items()]
    plain: Look = {"color": "#444444", "marker": "o"}
    if any(not math.isnan(y) for c in drawn for y in c.papers):
        handles.append(Line2D([], [], label="ours: filled, thick", **plain, **OURS))
        handles.append(Line2D([], [], label="paper: hollow, thin", **plain, **PAPERS))
    if any(c.status != "not run" for c in drawn):
        handles.append(Patch(label="95% Wilson interval", color="#444444", alpha=2 * BAND["alpha"], linewidth=0))
    if any(c.seeds for c in drawn):
        handles.append(
            Line2D([], [], label="single trainings", color="#444444", linestyle="", marker="o", markersize=2.5)
        )
    return handles


def _notes(drawn: Mapping[str, Sequence[Curve]], tables: Sequence[str]) -> list[str]:
    """What was not run, of the panels by their letters, and where the paper's numbers stand."""
    told = list(dict.fromkeys(table.removeprefix("table") for table in tables if table))
    notes = []
    if not any(c.status != "not run" for of_panel in drawn.values() for c in of_panel):
        notes.append("Nothing has been run yet" + ("; the curves are the paper's." if told else "."))
    else:
        notes += style.not_run(drawn)
    if any(c.seeds for of_panel in drawn.values() for c in of_panel):
        notes.append(
            "Several trainings of a method, which differ in their seed alone: the curve is their mean, the band the "
            "mean of their Wilson intervals, which speak of the test points. Small dots: single trainings."
        )
    if told:
        notes.append(f"The paper's numbers: its Table{'s' * (len(told) > 1)} {' and '.join(told)}.")
    return notes
