"""The paper's accuracy tables: methods down, ε across, the best of each column marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from dmcore.eps import Eps, labels
from doublemargin.records.columns import UNDISTURBED
from doublemargin.records.statistics import decimals, std_of_hundreds, wilson_interval
from doublemargin.records.tidy import Records
from doublemargin.report.origin import cells_of, data_mark, shortening

NOT_RUN = "–"
PARTLY = "†"
ROUGHLY = "‡"
SLOWED = f"{ROUGHLY}: other work may have slowed this training down; its time is compared with no other."


@dataclass(frozen=True)
class Value:
    """One accuracy: a share of ``points`` points, the mean over the models that were run; None if none was.

    Attributes:
        models: how many models the cell is to be the mean of.
        run: how many of them were.
    """

    share: float | None
    points: int
    with_std: bool = False
    models: int = 1
    run: int = 1
    best: bool = False

    @property
    def std(self) -> float | None:
        """The standard deviation over random hundreds of the points."""
        return None if self.share is None else std_of_hundreds(self.share, self.points)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% Wilson interval of the share; a mean over models, all of them on the same points, counts as one."""
        return None if self.share is None else wilson_interval(round(self.share * self.points), self.points)

    @property
    def status(self) -> str:
        """``run``, ``partly`` where models are missing from a mean, or ``not run``."""
        return "not run" if self.share is None else "partly" if self.run < self.models else "run"

    @property
    def text(self) -> str:
        """``66.5%``, ``66.5 (4.6)%``, ``66.5%†`` where models are missing from a mean, or a dash."""
        if self.share is None:
            return NOT_RUN
        shown = f"{100 * self.share:.{decimals(self.points, self.models > 1)}f}"
        std = f" ({100 * self.std:.1f})" if self.with_std else ""
        return f"{shown}{std}%" + (PARTLY if self.status == "partly" else "")


@dataclass(frozen=True)
class Row:
    """One method at one ε_train.

    Attributes:
        eps_id: ε_train as in the records: ``8_255``, or ``none``.
        group: which of the panel's groups it belongs to; an ε_train is printed once for rows of a group that have it.
        baseline: whether it is left out where the best of a column is marked.
        own: whether it is the paper's own method or a variant of it.
        undisturbed: whether the trainings had a processor for themselves, so that their time means something.
    """

    method: str
    label: str
    eps_id: str
    seconds: float | None
    values: list[Value]
    group: int = 0
    baseline: bool = False
    own: bool = False
    undisturbed: bool = True

    @property
    def eps_train(self) -> str:
        """ε_train as printed: ``8/255``, or nothing."""
        return "" if self.eps_id == "none" else Eps.parse(self.eps_id).label

    @property
    def time(self) -> str:
        """Training time in seconds, the mean over the models; ``812.0‡`` where others may have slowed it down."""
        return NOT_RUN if self.seconds is None else f"{self.seconds:.1f}" + ("" if self.undisturbed else ROUGHLY)


@dataclass(frozen=True)
class Panel:
    """One block of a table: a title, what was certified how at which ε (the records' ids), and what was found."""

    title: str
    dataset: str
    arch: str
    certifier: str
    norm: str
    eps_ids: list[str]
    rows: list[Row]
    training_time: bool = True
    finding: str = ""

    @property
    def eps(self) -> list[str]:
        """The ε of the columns as printed."""
        return labels(self.eps_ids)


@dataclass(frozen=True)
class Table:
    """A whole table, with notes that say how its numbers were made; the first of them are the ``warnings``."""

    caption: str
    panels: list[Panel]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def build_table(exhibit: Mapping[str, Any], records: Records) -> Table:
    """A table from its description (:func:`doublemargin.experiment.exhibits.exhibit_spec`) and the tidy records."""
    panels = [_panel(panel, records) for panel in exhibit["panels"]]
    used = pd.concat([cells_of(panel, records.certified_accuracy) for panel in exhibit["panels"]])
    warnings = shortening(exhibit)
    return Table(exhibit["caption"], panels, [*warnings, *_notes(exhibit, panels, used)], warnings)


def row_values(panel: Mapping[str, Any], row: Mapping[str, Any], cells: pd.DataFrame) -> list[Value]:
    """One row's accuracies, in the order of the panel's ε."""
    found = cells[cells["spec_hash"].isin(row["models"])].groupby("eps_cert")["accuracy"].agg(["mean", "count"])
    asked = len(row["models"])
    return [
        Value(found["mean"].get(eps), panel["points"], panel["std"], asked, int(found["count"].get(eps, 0)))
        for eps in panel["eps_cert"]
    ]


def _panel(panel: Mapping[str, Any], records: Records) -> Panel:
    cells = cells_of(panel, records.certified_accuracy)
    rows = []
    for row in panel["rows"]:
        trained = records.training[records.training["spec_hash"].isin(row["models"])]
        seconds = float(trained["seconds"].mean()) if len(trained) else None
        values = row_values(panel, row, cells)
        marks = (row[key] for key in ("group", "baseline", "own"))
        undisturbed = bool((trained["timing"] == UNDISTURBED).all())
        rows.append(Row(row["method"], row["label"], row["eps"], seconds, values, *marks, undisturbed))
    return Panel(
        panel["title"] + data_mark(cells),
        *(panel[key] for key in ("dataset", "arch", "certifier", "norm", "eps_cert")),
        _mark_best(rows),
        panel["training_time"],
        _finding(panel, rows) if panel["compare"] else "",
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
    by_method = {row.method: row for row in rows}  # the last row of each
    eps = max(panel["eps_cert"], key=lambda e: Eps.parse(e))
    at = panel["eps_cert"].index(eps)
    first, second = ((by_method[m].label, by_method[m].values[at]) for m in panel["compare"])
    if first[1].share is None or second[1].share is None:
        return f"At ε = {Eps.parse(eps).label}: not run."
    parts = []
    for label, value in (first, second):
        low, high = value.interval
        parts.append(f"{label} {value.text} [{100 * low:.1f}, {100 * high:.1f}]")
    gain = 100 * (first[1].share - second[1].share)
    verdict = "ahead" if gain > 0 else "behind" if gain < 0 else "level"
    amount = f" by {abs(gain):.1f} points" if gain else ""
    return f"At ε = {Eps.parse(eps).label}, {' against '.join(parts)}: {first[0]} is {verdict}{amount}."


def _notes(exhibit: Mapping[str, Any], panels: list[Panel], used: pd.DataFrame) -> list[str]:
    values = [value for panel in panels for row in panel.rows for value in row.values]
    run = f"{sum(value.share is not None for value in values)} of {len(values)} cells have been run"
    if used.empty:
        return [f"Schedule {exhibit['schedule']}; nothing has been run yet. {NOT_RUN}: not run."]

    def distinct(column: str) -> str:
        return ", ".join(sorted(used[column].astype(str).unique()))

    cut = " and ".join(
        f"{'' if clipped == 'True' else 'not '}cut to [0, 1]" for clipped in sorted(used["clip_input"].unique())
    )
    if (used["intersect_ibp"] == "True").any():
        cut += ", no linear bound outside the interval bounds"
    data = ", ".join(
        f"{d} ({v})" for d, v in used[["dataset", "variant"]].drop_duplicates().sort_values("dataset").values
    )
    points = ", ".join(str(n) for n in sorted(used["points"].unique()))
    notes = [
        f"Schedule {exhibit['schedule']}; data {data}; {distinct('certifier')}; {points} test points "
        f"(selection seed {distinct('points_seed')}); input ball {cut}. {run}.",
        f"Made on {distinct('device')} with torch {distinct('torch')}, commit {distinct('commit')}.",
        f"Marked: the best of a column, normal training and weight regularization left out. {NOT_RUN}: not run.",
    ]
    if any(value.models > 1 for value in values):
        notes.append(f"{PARTLY}: the mean of fewer models than it is to be.")
    if any(panel.training_time and ROUGHLY in row.time for panel in panels for row in panel.rows):
        notes.append(SLOWED)
    if any(value.with_std for value in values):
        notes.append("In brackets: the standard deviation over random hundreds of the points.")
    if any(panel.finding for panel in panels):
        notes.append("In square brackets: 95% Wilson interval.")
    return notes
