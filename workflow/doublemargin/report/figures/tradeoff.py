"""Clean against certified accuracy at one ε: a line for each method, its points the variants of its grid."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.files import write_text
from doublemargin.experiment.looks import BASELINES, METHODS, Look
from doublemargin.experiment.registries import figure
from doublemargin.files import shipped
from doublemargin.records.statistics import std_over_seeds
from doublemargin.records.tidy import Records
from doublemargin.report.build_table import Lookup
from doublemargin.report.figures import style
from doublemargin.report.origin import cells_of, data_mark, shortening
from doublemargin.report.render.comma_separated import csv_text

ACROSS, PLOT_INCHES, ENTRY_INCHES = 2, 2.9, 1 / 6
"""Plots in a row, the height of each, and that of a line of the legend."""
LEGEND_LETTERS, HANDLE_LETTERS = 114, 13
"""As many fit into a line of the legend, and what stands before an entry takes the place of these."""

REFERENCE = ["method", "dataset", "eps", "network", "clean", "certified", "source"]
MEAN: Look = {"linewidth": 1.2, "markersize": 5.5, "zorder": 4, "markeredgecolor": "white", "markeredgewidth": 0.5}
SEED: Look = {"s": 5, "linewidths": 0, "alpha": 0.7, "zorder": 3}
FRONT: Look = {"color": "#bbbbbb", "linewidth": 3, "zorder": 1, "solid_capstyle": "butt", "solid_joinstyle": "miter"}
PUBLISHED: Look = {"color": "#444444", "markersize": 6, "linestyle": "", "zorder": 2}
MARKS = "x+1234|_"
"""Of published numbers, one for each source: none that a method has."""

COLUMNS = [
    *("panel", "method", "line", "eps_train", "eps_cert", "points", "models", "models_run", "clean"),
    *("clean_std_over_seeds", "certified", "certified_std_over_seeds", "on_front", "hypervolume_of_line"),
]

Pair = tuple[float, float]
"""Clean and certified accuracy, as shares: the more the better of both."""


@dataclass(frozen=True)
class Point:
    """A row of a panel: accuracies as shares.

    Attributes:
        line: what its method is called without the values of a grid.
        look: its line's.
        models: how many models it is to be the mean of.
        seeds: clean and certified accuracy of each model that was run.
    """

    method: str
    line: str
    look: Look
    eps_train: str
    models: int
    seeds: list[Pair]

    @property
    def mean(self) -> Pair:
        """Over the models."""
        clean, certified = zip(*self.seeds, strict=True)
        return sum(clean) / len(clean), sum(certified) / len(certified)

    @property
    def status(self) -> str:
        """``run``, ``partly`` where models are missing, or ``not run``."""
        return "not run" if not self.seeds else "partly" if len(self.seeds) < self.models else "run"

    @property
    def name(self) -> str:
        """The method with its ε_train."""
        return self.method + ("" if self.eps_train == "none" else f" at {Eps.parse(self.eps_train).label}")


@figure("tradeoff")
def write(exhibit: Mapping[str, Any], records: Records, stem: Path) -> None:
    """Draws a resolved exhibit; writes ``stem.png``, ``stem.svg``, ``stem.pdf``, and its numbers as ``stem.csv``."""
    with style.house_style():
        style.save(draw(exhibit, records), stem)
    write_text(stem.with_suffix(".csv"), numbers(exhibit, records))


def draw(exhibit: Mapping[str, Any], records: Records) -> Figure:
    """A plot for each panel."""
    panels, lookup = exhibit["panels"], Lookup.of(records, None)
    drawn = [points(panel, lookup) for panel in panels]
    published = _published(exhibit["reference"])
    marks = [_of_panel(published, panel) for panel in panels]
    sources = dict(
        zip(dict.fromkeys(s for found in marks for s in found["name"]), MARKS * len(published), strict=False)
    )
    letters = style.panel_letters(panels)

    handles = _legend(drawn, sources)
    columns = _columns([len(str(handle.get_label())) for handle in handles])
    across, rows = min(len(panels), ACROSS), math.ceil(len(panels) / ACROSS)
    told = _notes(exhibit, dict(zip(letters, drawn, strict=True)), bool(sources))
    notes = style.wrapped([*shortening(exhibit), *told])
    lines = 1 + math.ceil(len(handles) / columns) + notes.count("\n") + 1
    figure = Figure(figsize=(style.WIDTH, PLOT_INCHES * rows + ENTRY_INCHES * lines), layout="constrained")
    figure.get_layout_engine().set(wspace=0.04, hspace=0.06)
    axes = figure.subplots(rows, across, squeeze=False).ravel()
    for axis, letter, panel, of_panel, found in zip_longest(axes, letters, panels, drawn, marks):
        if panel is None:
            axis.set_axis_off()
            continue
        mark = data_mark(cells_of(panel, records.certified_accuracy))
        title = f"{letter}{panel['title']}, schedule {exhibit['schedule']}{mark}"
        axis.set_title(
            "\n".join(textwrap.wrap(title, style.PAGE_LETTERS // across - 4, break_on_hyphens=False)), loc="left"
        )
        _draw_panel(axis, panel, of_panel, found, sources)
    run = any(point.seeds for of_panel in drawn for point in of_panel)
    title = f"Method, and hypervolume{_of_each(letters)}" if run else None
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, title=title)
    figure.supxlabel(notes, fontsize=8, x=0.01, ha="left")
    return figure


def points(panel: Mapping[str, Any], lookup: Lookup) -> list[Point]:
    """A panel's rows; a model counts where it has both accuracies."""
    clean, certified = (panel["eps_cert"].index(eps) for eps in _epsilons(panel))
    made = []
    for row in panel["rows"]:
        single = [lookup.row("", panel, {**row, "models": [model]}).cells for model in row["models"]]
        shares = [(cells[clean].ours, cells[certified].ours) for cells in single]
        look = (BASELINES if row["baseline"] else METHODS)[row["look"]]
        seeds = [(a.value, b.value) for a, b in shares if a and b]
        made.append(Point(row["method"], row["line"], look, row["eps"], len(row["models"]), seeds))
    return made


def numbers(exhibit: Mapping[str, Any], records: Records) -> str:
    """The CSV beside the figure: one line a point, shares to six digits."""
    lookup, lines = Lookup.of(records, None), []
    for panel in exhibit["panels"]:
        of_panel = points(panel, lookup)
        means = [point.mean for point in of_panel if point.seeds]
        for point in of_panel:
            of_line = [other.mean for other in of_panel if other.line == point.line and other.seeds]
            where = [panel["title"], point.method, point.line, point.eps_train, _epsilons(panel)[1], panel["points"]]
            found: list[Any] = [None] * 6
            if point.seeds:
                spread = [std_over_seeds(one) if len(one) > 1 else None for one in zip(*point.seeds, strict=True)]
                found = [point.mean[0], spread[0], point.mean[1], spread[1]]
                found += [on_front(means, point.mean), hypervolume(of_line)]
            shares = [round(share, 6) if isinstance(share, float) else share for share in found]
            lines.append([*where, point.models, len(point.seeds), *shares])
    return csv_text([COLUMNS, *lines])


def on_front(points: Sequence[Pair], point: Pair) -> bool:
    """Whether a point is dominated by none: no other is at least as good in both and better in one."""
    x, y = point
    return not any(a >= x and b >= y and (a, b) != (x, y) for a, b in points)


def hypervolume(points: Sequence[Pair]) -> float:
    """The area between (0, 0) and the front, of points with coordinates ≥ 0: all that some point dominates."""
    area = top = 0.0
    for x, y in sorted(points, reverse=True):
        area += x * max(y - top, 0)
        top = max(y, top)
    return area


def _epsilons(panel: Mapping[str, Any]) -> list[str]:
    """0, and the ε that is certified."""
    return sorted(panel["eps_cert"], key=Eps.parse)


def _published(path: str | None) -> pd.DataFrame:
    """Published numbers in percent; ``name`` says who published them, of which network."""
    if path is None:
        return pd.DataFrame(columns=[*REFERENCE, "name"])
    try:
        found = pd.read_csv(shipped(path), dtype=str, keep_default_na=False)[REFERENCE]
        found = found.astype({"clean": float, "certified": float})
        return found.assign(eps=found["eps"].map(Eps.parse), name=found["source"] + ", " + found["network"])
    except (OSError, KeyError, ValueError, UserError) as error:
        raise UserError(f"{path} is no table of published numbers, {', '.join(REFERENCE)}: {error}") from error


def _of_panel(published: pd.DataFrame, panel: Mapping[str, Any]) -> pd.DataFrame:
    at = published["eps"] == Eps.parse(_epsilons(panel)[1])
    return published[at & (published["dataset"] == panel["dataset"])]


def _lines(drawn: Sequence[Point]) -> dict[str, list[Point]]:
    """The points of each line that were run, from the lowest clean accuracy on."""
    names = dict.fromkeys(point.line for point in drawn)
    return {name: sorted((p for p in drawn if p.line == name and p.seeds), key=lambda p: p.mean) for name in names}


def _draw_panel(
    axis: Axes, panel: Mapping[str, Any], drawn: Sequence[Point], found: pd.DataFrame, sources: Mapping[str, str]
) -> None:
    for line, of_line in _lines(drawn).items():
        for point in of_line if any(len(point.seeds) > 1 for point in of_line) else ():
            axis.scatter(*_percent(point.seeds), color=point.look["color"], **SEED)
        if of_line:
            axis.plot(*_percent([point.mean for point in of_line]), label=line, **of_line[0].look, **MEAN)
    for name, one in found.groupby("name", sort=False):
        axis.plot(one["clean"], one["certified"], label=name, marker=sources[str(name)], **PUBLISHED)
    if not axis.lines:
        axis.set(xlim=(0, 100), ylim=(0, 100))
    axis.margins(0.08)
    axis.set_xlabel("clean accuracy (%)")
    axis.set_ylabel(f"certified at ε = {Eps.parse(_epsilons(panel)[1]).label} (%)")
    axis.grid(visible=True)
    run = [point.mean for point in drawn if point.seeds]
    if run:
        _draw_front(axis, [point for point in run if on_front(run, point)])


def _draw_front(axis: Axes, front: Sequence[Pair]) -> None:
    """The border of what the points dominate, as far as the plot shows it."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    corners = [(100 * x, 100 * y) for x, y in sorted(set(front))]
    steps = [(left, corners[0][1])]
    for (x, y), (_, following) in zip(corners, [*corners[1:], (0.0, bottom)], strict=True):
        steps += [(x, y), (x, following)]
    axis.plot(*zip(*steps, strict=True), label="front", **FRONT)
    axis.set(xlim=(left, right), ylim=(bottom, top))


def _percent(shares: Sequence[Pair]) -> tuple[list[float], list[float]]:
    return [100 * x for x, _ in shares], [100 * y for _, y in shares]


def _legend(drawn: Sequence[Sequence[Point]], sources: Mapping[str, str]) -> list[Line2D]:
    """Each line with its hypervolume in every panel, the front of all with its own, and what is published."""

    def volumes(of_panels: Sequence[Sequence[Point]]) -> str:
        means = [[point.mean for point in of_panel if point.seeds] for of_panel in of_panels]
        return ", ".join(f"{hypervolume(one):.3f}" if one else "–" for one in means)

    looks = {point.line: point.look for of_panel in drawn for point in of_panel if point.seeds}
    handles = [
        Line2D([], [], label=f"{line}  {volumes([[p for p in of_panel if p.line == line] for of_panel in drawn])}",
               **look, **MEAN)
        for line, look in looks.items()
    ]  # fmt: skip
    if looks:
        handles.append(Line2D([], [], label=f"front of all  {volumes(drawn)}", **FRONT))
    if any(len(point.seeds) > 1 for of_panel in drawn for point in of_panel):
        handles.append(
            Line2D([], [], label="single trainings", color="#444444", linestyle="", marker="o", markersize=2.2)
        )
    return handles + [Line2D([], [], label=name, marker=marker, **PUBLISHED) for name, marker in sources.items()]


def _columns(letters: Sequence[int]) -> int:
    """How many columns, up to three, of entries with so many letters fit across, divided as matplotlib does."""
    for columns in (3, 2):
        divided = np.array_split(letters, columns)
        if len(letters) >= columns and sum(max(of) + HANDLE_LETTERS for of in divided) <= LEGEND_LETTERS:
            return columns
    return 1


def _of_each(letters: Sequence[str]) -> str:
    return f" in {' and '.join(letter.strip() for letter in letters)}" if len(letters) > 1 else ""


def _notes(exhibit: Mapping[str, Any], drawn: Mapping[str, Sequence[Point]], published: bool) -> list[str]:
    """What is drawn, how the front was chosen, and what was not run, of the panels by their letters."""
    every = [point for of_panel in drawn.values() for point in of_panel]
    notes = []
    if any(len(point.seeds) > 1 for point in every):
        notes.append("A marker is the mean over trainings that differ in their seed alone.")
    notes.append(
        "Front: no other marker is as good in both and better in one. Points of the front are chosen by the test "
        "points themselves, which flatters them. Hypervolume: the area that a line's markers dominate, with the "
        "reference point (0, 0)."
    )
    if not any(point.seeds for point in every):
        notes, drawn = ["Nothing has been run yet."], {}
    if published:
        notes.append(
            f"Grey: published numbers ({exhibit['reference']}), of other networks and verifiers; no part of the front."
        )
    return [*notes, *style.not_run(drawn)]
