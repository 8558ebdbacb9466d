"""Figure 1: certified accuracy against ε, ours beside the paper's; a plot for each ε_train."""

from __future__ import annotations

import math
import string
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from dmcore.eps import Eps
from doublemargin.experiment.looks import BASELINES, METHODS, Look
from doublemargin.experiment.registries import figure
from doublemargin.records.paper import read_reported
from doublemargin.records.tidy import Records
from doublemargin.report.build_table import Lookup
from doublemargin.report.figures.style import WIDTH, house_style, save
from doublemargin.report.origin import cells_of, data_mark, shortening

PAGE_LETTERS = 100
"""As many fit across the page."""
PLOT_ENTRIES, ENTRY_INCHES = 12, 1 / 6
"""Entries of a legend that fit in a plot's place, and the height of each."""

Plots = list[tuple[str, list["Curve"]]]

OURS: Look = {"linewidth": 1.6, "markersize": 4, "zorder": 3}
PAPERS: Look = {"linewidth": 1.0, "markersize": 5, "markerfacecolor": "white", "alpha": 0.6, "zorder": 2}
BAND: Look = {"alpha": 0.15, "linewidth": 0, "zorder": 1}
SEED: Look = {"marker": "o", "edgecolors": "white", "linewidths": 0.3, "s": 6, "zorder": 4}


@dataclass(frozen=True)
class Curve:
    """One method at one ε_train, in percent at each of a panel's ε; NaN where there is no value.

    Attributes:
        look: its method's, the same in all figures.
        eps_train: its id, or ``none``.
        accuracy: ours, the mean over the models that were run.
        seeds: at each ε those of the single models, where several were run.
        low: the lower end of its 95% Wilson interval, likewise; ``high``: the upper.
        papers: the paper's.
        whole: whether all models were run at all ε.
    """

    label: str
    look: Look
    eps_train: str
    accuracy: list[float]
    seeds: list[list[float]]
    low: list[float]
    high: list[float]
    papers: list[float]
    whole: bool

    @property
    def run(self) -> bool:
        """Whether we have any value."""
        return not all(map(math.isnan, self.accuracy))

    @property
    def name(self) -> str:
        """The method with its ε_train."""
        return self.label + ("" if self.eps_train == "none" else f" at {Eps.parse(self.eps_train).label}")


@figure("curves")
def write(exhibit: Mapping[str, Any], records: Records, stem: Path) -> None:
    """Draws a resolved exhibit; writes ``stem.png``, ``stem.svg`` and ``stem.pdf``."""
    with house_style():
        save(draw(exhibit, records), stem)


def draw(exhibit: Mapping[str, Any], records: Records) -> Figure:
    """A row of plots for each panel, or one row if every panel has a single plot."""
    panels = exhibit["panels"]
    reported = read_reported(Path(exhibit["reported"])) if exhibit["reported"] else None
    papers = [None if reported is None else papers_cells(panel, reported) for panel in panels]
    lookup = Lookup.of(records, None)
    drawn = [curves(panel, lookup, cells) for panel, cells in zip(panels, papers, strict=True)]
    plots = [_by_eps_train(of_panel) for of_panel in drawn]

    letters = [f"({letter}) " for letter in string.ascii_lowercase[: len(panels)]] if len(panels) > 1 else [""]

    across = max(map(len, plots))
    handles = _legend([curve for of_panel in drawn for curve in of_panel])
    spare = len(handles) <= PLOT_ENTRIES and any(len(row) < across for row in plots)
    lines = math.ceil(len(handles) / 3)
    rows = len(panels) if across > 1 else 1
    height = 2.3 * rows + (0.3 if spare else 0.5 + ENTRY_INCHES * max(lines, 3))
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.04, hspace=0.06)
    axes = figure.subplots(rows, across if across > 1 else len(panels), squeeze=False, sharey="row")
    for i, (panel, row, places) in enumerate(zip(panels, plots, axes if across > 1 else axes.T, strict=True)):
        mark = data_mark(cells_of(panel, records.certified_accuracy))
        title = f"{letters[i]}{panel['title']}, schedule {exhibit['schedule']}{mark}".replace(
            " points)", "\u00a0points)"
        )
        width = PAGE_LETTERS if across > 1 else PAGE_LETTERS // len(panels) - 4
        _draw_panel(places, panel, textwrap.wrap(title, width, break_on_hyphens=False), row)
    for axis in axes[:, 0]:
        axis.set_ylabel("certified accuracy (%)")

    if spare:
        place = next(places[-1] for places, row in zip(axes, plots, strict=True) if len(row) < across)
        place.legend(handles=handles, loc="center")
    else:
        figure.legend(handles=handles, loc="outside upper center", ncols=math.ceil(len(handles) / lines))
    notes = [
        textwrap.fill(note, PAGE_LETTERS, break_on_hyphens=False)
        for note in (*shortening(exhibit), *_notes(dict(zip(letters, drawn, strict=True)), papers))
    ]
    figure.supxlabel("\n".join(notes), fontsize=8, x=0.01, ha="left")
    return figure


def curves(panel: Mapping[str, Any], lookup: Lookup, papers: pd.DataFrame | None) -> list[Curve]:
    """A panel's curves, in the order of its rows.

    Args:
        papers: what the paper reports of it, by :func:`papers_cells`.
    """
    cells = cells_of(panel, lookup.records.certified_accuracy)
    made = []
    for row in panel["rows"]:
        ours = lookup.row("", panel, row).cells
        ends = cells[cells["spec_hash"].isin(row["models"])].groupby("eps_cert")[["wilson_low", "wilson_high"]].mean()
        low, high = (ends[end].to_dict() for end in ends)
        told = {} if papers is None else _of_row(papers, row)
        made.append(
            Curve(
                row["label"],
                (BASELINES if row["baseline"] else METHODS)[row["look"]],
                row["eps"],
                [100 * cell.ours.value if cell.ours else math.nan for cell in ours],
                [[100 * share for share in cell.shares] if len(cell.shares) > 1 else [] for cell in ours],
                *([100 * found.get(eps, math.nan) for eps in panel["eps_cert"]] for found in (low, high, told)),
                whole=all(cell.status == "run" for cell in ours),
            )
        )
    return made


def papers_cells(panel: Mapping[str, Any], reported: pd.DataFrame) -> pd.DataFrame:
    """What the paper reports of a panel's cells, from the one of its tables that has most of them.

    Some cells stand in several tables, with other numbers where the paper trained a model anew.

    Args:
        reported: by :func:`doublemargin.records.paper.read_reported`.
    """
    rows = {(row["method"], row["eps"]) for row in panel["rows"]}
    same = reported[reported["eps_cert"].isin(panel["eps_cert"]) & reported["accuracy"].notna()]
    for key in ("dataset", "arch", "certifier", "norm", "points"):
        same = same[same[key] == panel[key]]
    same = same[pd.MultiIndex.from_frame(same[["method", "eps_train"]]).isin(list(rows))]
    return same if same.empty else same[same["table"] == same.groupby("table", sort=False).size().idxmax()]


def _of_row(papers: pd.DataFrame, row: Mapping[str, Any]) -> dict[str, float]:
    found = papers[(papers["method"] == row["method"]) & (papers["eps_train"] == row["eps"])]
    return dict(zip(found["eps_cert"], found["accuracy"], strict=True))


def _by_eps_train(drawn: Sequence[Curve]) -> Plots:
    """The curves of each ε_train; those without one go with all."""
    found = list(dict.fromkeys(c.eps_train for c in drawn if c.eps_train != "none")) or ["none"]
    return [(eps, [c for c in drawn if c.eps_train in (eps, "none")]) for eps in found]


def _draw_panel(places: Sequence[Axes], panel: Mapping[str, Any], title: Sequence[str], plots: Plots) -> None:
    radii = [Eps.parse(eps) for eps in panel["eps_cert"]]
    in_255ths = any("/" in r.label for r in radii)
    x = [float(r) * (255 if in_255ths else 1) for r in radii]
    for axis, (eps, drawn) in zip(places, plots, strict=False):
        for curve in drawn:
            _draw_curve(axis, x, curve)
        trained = "" if eps == "none" else f"$\\epsilon_\\mathrm{{train}}$ = {Eps.parse(eps).label}"
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
    shown = [y for _, drawn in plots for c in drawn for y in (*c.high, *c.papers) if not math.isnan(y)]
    places[0].set_ylim(0, 20 * math.ceil(max(shown, default=100) / 20))


def _draw_curve(axis: Axes, x: Sequence[float], curve: Curve) -> None:
    if not all(map(math.isnan, curve.papers)):
        axis.plot(x, curve.papers, label=f"{curve.name}, paper", clip_on=False, **curve.look, **PAPERS)
    if curve.run:
        axis.plot(x, curve.accuracy, label=curve.name, clip_on=False, **curve.look, **OURS)
        axis.fill_between(x, curve.low, curve.high, color=curve.look["color"], **BAND)
    if any(curve.seeds):
        singles = [(eps, y) for eps, of_eps in zip(x, curve.seeds, strict=True) for y in of_eps]
        axis.scatter(*zip(*singles, strict=True), color=curve.look["color"], clip_on=False, **SEED)


def _legend(drawn: Sequence[Curve]) -> list[Any]:
    """Colour, marker and line style say the method; fill and width say whose."""
    methods = {(c.label, c.look["marker"], c.look["color"]): c.look for c in drawn}
    handles: list[Any] = [Line2D([], [], label=label, **look, **OURS) for (label, *_), look in methods.items()]
    plain: Look = {"color": "#444444", "marker": "o"}
    if any(not math.isnan(y) for c in drawn for y in c.papers):
        handles.append(Line2D([], [], label="ours: filled, thick", **plain, **OURS))
        handles.append(Line2D([], [], label="paper: hollow, thin", **plain, **PAPERS))
    if any(c.run for c in drawn):
        handles.append(Patch(label="95% Wilson interval", color="#444444", alpha=2 * BAND["alpha"], linewidth=0))
    if any(any(c.seeds) for c in drawn):
        handles.append(
            Line2D([], [], label="single trainings", color="#444444", linestyle="", marker="o", markersize=2.5)
        )
    return handles


def _notes(drawn: Mapping[str, Sequence[Curve]], papers: Sequence[pd.DataFrame | None]) -> list[str]:
    """What was not run, of the panels by their letters, and where the paper's numbers stand."""
    told = [table.removeprefix("table") for cells in papers if cells is not None for table in cells["table"].unique()]
    missing = {letter: [c.name for c in of_panel if not c.run] for letter, of_panel in drawn.items()}
    partly = {letter: [c.name for c in of_panel if c.run and not c.whole] for letter, of_panel in drawn.items()}
    notes = []
    if not any(c.run for of_panel in drawn.values() for c in of_panel):
        notes.append("Nothing has been run yet" + ("; the curves are the paper's." if told else "."))
        missing = {}
    for what, found in (("Not run", missing), ("Not run in full", partly)):
        named = [letter + ", ".join(names) for letter, names in found.items() if names]
        if named:
            notes.append(f"{what}: {'; '.join(named)}.")
    if any(any(c.seeds) for of_panel in drawn.values() for c in of_panel):
        notes.append(
            "Several trainings of a method, which differ in their seed alone: the curve is their mean, the band the "
            "mean of their Wilson intervals, which speak of the test points. Small dots: single trainings."
        )
    if told:
        notes.append(f"The paper's numbers: its Table{'s' * (len(set(told)) > 1)} {' and '.join(dict.fromkeys(told))}.")
    return notes
