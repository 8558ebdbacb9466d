"""The paper's accuracy tables: methods down, ε across, the best of each column marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from dmcore.eps import Eps
from dmcore.report.statistics import std_of_hundreds, wilson_interval

NOT_RUN = "–"


@dataclass(frozen=True)
class Value:
    """One accuracy: a share of ``points`` points, the mean over the seeds that were run; None if none was."""

    share: float | None
    points: int
    with_std: bool = False
    best: bool = False

    @property
    def text(self) -> str:
        """``66.5%``, ``66.5 (4.6)%``, or a dash."""
        if self.share is None:
            return NOT_RUN
        if self.with_std:
            return f"{100 * self.share:.1f} ({100 * std_of_hundreds(self.share, self.points):.1f})%"
        return f"{100 * self.share:.1f}%"


@dataclass(frozen=True)
class Row:
    """One method at one ε_train."""

    label: str
    eps_train: str
    seconds: float | None
    values: list[Value]
    baseline: bool

    @property
    def time(self) -> str:
        """Training time in seconds, the mean over the seeds."""
        return NOT_RUN if self.seconds is None else f"{self.seconds:.1f}"


@dataclass(frozen=True)
class Panel:
    """One block of a table: a title, the ε of the columns, the rows, and what was found."""

    title: str
    eps: list[str]
    rows: list[Row]
    finding: str = ""


@dataclass(frozen=True)
class Table:
    """A whole table, with notes that say how its numbers were made."""

    caption: str
    panels: list[Panel]
    notes: list[str] = field(default_factory=list)


def build_table(exhibit: Mapping[str, Any], training: pd.DataFrame, certified: pd.DataFrame) -> Table:
    """A table from its resolved description (:func:`dmcore.grid.exhibit_spec`) and the tidy records."""
    panels = [_panel(panel, training, certified) for panel in exhibit["panels"]]
    used = pd.concat([cells_of(panel, certified) for panel in exhibit["panels"]])
    return Table(exhibit["caption"], panels, _notes(exhibit, used))


def cells_of(panel: Mapping[str, Any], certified: pd.DataFrame) -> pd.DataFrame:
    """The records of a panel's cells."""
    wanted = [(row["method"], row["eps"]) for row in panel["rows"]]
    cells = certified
    for key in ("dataset", "arch", "certifier", "norm", "points"):
        cells = cells[cells[key] == panel[key]]
    models = pd.MultiIndex.from_frame(cells[["method", "eps_train"]])
    return cells[models.isin(wanted) & cells["eps_cert"].isin(panel["eps_cert"])]


def data_mark(cells: pd.DataFrame) -> str:
    """What a title must add where the data are not the official ones, so that no reader takes them for these."""
    others = sorted({str(v) for v in cells["variant"]} - {"official"})
    return f" [data: {'; '.join(others)}]" if others else ""


def row_values(panel: Mapping[str, Any], row: Mapping[str, Any], cells: pd.DataFrame) -> list[Value]:
    """One row's accuracies, in the order of the panel's ε."""
    mine = cells[(cells["method"] == row["method"]) & (cells["eps_train"] == row["eps"])]
    means = mine.groupby("eps_cert")["accuracy"].mean()
    return [Value(means.get(eps), panel["points"], panel["std"]) for eps in panel["eps_cert"]]


def _panel(panel: Mapping[str, Any], training: pd.DataFrame, certified: pd.DataFrame) -> Panel:
    cells = cells_of(panel, certified)
    models = training[(training["dataset"] == panel["dataset"]) & (training["arch"] == panel["arch"])]
    rows = []
    for row in panel["rows"]:
        mine = models[(models["method"] == row["method"]) & (models["eps_train"] == row["eps"])]
        seconds = float(mine["seconds"].mean()) if len(mine) else None
        eps = "" if row["eps"] == "none" else Eps.parse(row["eps"]).label
        rows.append(Row(row["label"], eps, seconds, row_values(panel, row, cells), row["baseline"]))
    finding = _finding(panel, rows) if panel["compare"] else ""
    return Panel(
        panel["title"] + data_mark(cells), [Eps.parse(e).label for e in panel["eps_cert"]], _mark_best(rows), finding
    )


def _mark_best(rows: list[Row]) -> list[Row]:
    """Marks the largest value of each column, ties included, leaving out the baselines and columns that are all 0."""
    columns = zip(*(row.values for row in rows if not row.baseline), strict=True)
    best = [max((v.share for v in column if v.share is not None), default=0.0) for column in columns]

    def marked(row: Row) -> Row:
        values = [
            replace(v, best=v.share is not None and v.share == t > 0) for v, t in zip(row.values, best, strict=True)
        ]
        return replace(row, values=values)

    return [row if row.baseline else marked(row) for row in rows]


def _finding(panel: Mapping[str, Any], rows: list[Row]) -> str:
    """What the panel's two compared methods show at its largest ε, computed from the records."""
    by_method = {entry["method"]: row for entry, row in zip(panel["rows"], rows, strict=True)}  # the last row of each
    eps = max(panel["eps_cert"], key=lambda e: Eps.parse(e))
    at = panel["eps_cert"].index(eps)
    first, second = ((by_method[m].label, by_method[m].values[at]) for m in panel["compare"])
    if first[1].share is None or second[1].share is None:
        return f"At ε = {Eps.parse(eps).label}: not run."
    parts = []
    for label, value in (first, second):
        low, high = wilson_interval(round(value.share * value.points), value.points)
        parts.append(f"{label} {value.text} [{100 * low:.1f}, {100 * high:.1f}]")
    gain = 100 * (first[1].share - second[1].share)
    verdict = "ahead" if gain > 0 else "behind" if gain < 0 else "level"
    amount = f" by {abs(gain):.1f} points" if gain else ""
    return f"At ε = {Eps.parse(eps).label}, {' against '.join(parts)}: {first[0]} is {verdict}{amount}."


def _notes(exhibit: Mapping[str, Any], used: pd.DataFrame) -> list[str]:
    if used.empty:
        return [f"Schedule {exhibit['schedule']}; nothing has been run yet. {NOT_RUN}: not run."]

    def distinct(column: str) -> str:
        return ", ".join(sorted(used[column].astype(str).unique()))

    clipped = {True: "cut to [0, 1]", False: "not cut to [0, 1]"}
    cut = " and ".join(sorted(clipped[c] for c in used["clip_input"].astype(str).eq("True").unique()))
    seeds = used["seed"].nunique()
    return [
        f"Schedule {exhibit['schedule']}; data {distinct('dataset')} ({distinct('variant')}); "
        f"{seeds} seed{'s' if seeds > 1 else ''}; {distinct('points')} test points (selection seed "
        f"{distinct('points_seed')}); input ball {cut}.",
        f"Made on {distinct('device')} with torch {distinct('torch')}, commit {distinct('commit')}.",
        f"Marked: the best of a column, normal training and weight regularization left out. {NOT_RUN}: not run. "
        "In brackets: 95% Wilson interval, or the standard deviation over random hundreds of the points.",
    ]
