"""From records and the paper's reported cells to accuracy tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from dmcore.errors import UserError
from doublemargin.records.columns import ATTACK, CELL, MODEL, SELECTION
from doublemargin.records.paper import read_reported
from doublemargin.records.statistics import Share
from doublemargin.records.tidy import Records
from doublemargin.report.finding import TESTED, finding
from doublemargin.report.origin import cells_of, data_mark, shortening
from doublemargin.report.tables import FEWER, NOT_RUN, ROUGHLY, SLOWED, Cell, Panel, Row, Table, Timing

_REPORTED_KEY = ["table", "dataset", "arch", "method", "eps_train", "certifier", "norm", "points", "eps_cert"]


@dataclass(frozen=True)
class Lookup:
    """Both sides of a cell, ours and the paper's, indexed once.

    Attributes:
        reported: the paper's cells by :data:`_REPORTED_KEY`.
        certified: ours, by model and certification.
        attacked: ours, by model, weights, copy of the data and attack: verdicts.
        points: the test points of a selection, in the verdicts' order.
        timings: of our models, by their specifications' hashes.
    """

    records: Records
    reported: Mapping[tuple[Any, ...], Any]
    certified: Mapping[tuple[Any, ...], Any]
    attacked: Mapping[tuple[Any, ...], str]
    points: Mapping[tuple[Any, ...], Sequence[str]]
    timings: Mapping[str, Timing]

    @classmethod
    def of(cls, records: Records, reported: str | Path | None) -> Lookup:
        """From our records and the file of the paper's cells, if there is one."""
        paper = {}
        if reported:
            frame = read_reported(Path(reported))
            keys = frame[_REPORTED_KEY].itertuples(index=False, name=None)
            paper = dict(zip(keys, frame.itertuples(index=False), strict=True))
        verdicts = records.verdicts[[*MODEL, *CELL, "verdicts"]]
        ours = records.certified_accuracy.merge(verdicts, on=[*MODEL, *CELL], validate="one_to_one")
        return cls(
            records,
            paper,
            {(c.spec_hash, *(getattr(c, k) for k in CELL)): c for c in ours.itertuples()},
            {
                (a.spec_hash, a.model_sha256, a.variant, *(getattr(a, k) for k in ATTACK)): a.verdicts
                for a in records.robust_accuracy.itertuples()
            },
            {tuple(getattr(p, k) for k in SELECTION): p.indices.split() for p in records.points.itertuples()},
            {
                t.spec_hash: Timing(t.seconds, t.device, t.threads, t.seed, t.timing)
                for t in records.training.itertuples()
            },
        )

    def rows(self, exhibit: Mapping[str, Any]) -> list[Row]:
        """The rows of all panels of an accuracy table (:func:`doublemargin.experiment.exhibits.exhibit_spec`)."""
        return [self.row(exhibit["name"], panel, row) for panel in exhibit["panels"] for row in panel["rows"]]

    def row(self, table: str, panel: Mapping[str, Any], row: Mapping[str, Any]) -> Row:
        """One row of a panel, its cells in the order of the panel's ε."""
        cells, seconds = [], None
        for eps in panel["eps_cert"]:
            place = {
                "table": table, "dataset": panel["dataset"], "arch": panel["arch"], "method": row["method"],
                "eps_train": row["eps"], "certifier": panel["certifier"], "norm": panel["norm"],
                "points": panel["points"], "eps_cert": eps,
            }  # fmt: skip
            paper = self.reported.get(tuple(place[key] for key in _REPORTED_KEY))
            certified = {**panel, **place, **{key: str(panel[key]) for key in ("clip_input", "intersect_ibp")}}
            keys = [(model, *(certified[key] for key in CELL)) for model in row["models"]]
            ours = [self.certified[key] for key in keys if key in self.certified]
            cells.append(
                Cell(
                    **place,
                    label=row["label"],
                    models=len(row["models"]),
                    verdicts=tuple(cell.verdicts for cell in ours),
                    attacked=self._verdicts_of_attack(panel, ours),
                    data=" ".join(sorted({cell.data_sha256 for cell in ours})),
                    paper=_share(paper),
                    reported=paper is not None,
                    with_std=panel["std"] and len(row["models"]) == 1,
                )
            )
            if paper is not None and not math.isnan(paper.seconds):
                seconds = paper.seconds
        return Row(
            table=table,
            panel=panel["title"],
            **{key: panel[key] for key in ("dataset", "arch")},
            **{key: row[key] for key in ("method", "label", "group", "baseline", "own")},
            eps_train=row["eps"],
            timings=tuple(self.timings[model] for model in row["models"] if model in self.timings),
            paper_seconds=seconds,
            cells=tuple(cells),
        )

    def _verdicts_of_attack(self, panel: Mapping[str, Any], certified: Sequence[Any]) -> tuple[str, ...]:
        """The verdicts of the panel's attack beside those of some certifications, of the same weights and points.

        Raises:
            UserError: a point is certified and broken.
        """
        found = []
        for cell in certified:
            place = {**cell._asdict(), "attack": panel["attack"]}
            verdicts = self.attacked.get(
                (cell.spec_hash, cell.model_sha256, cell.variant, *(place[key] for key in ATTACK))
            )
            if verdicts is None:
                continue
            pairs = enumerate(zip(cell.verdicts, verdicts, strict=True))
            if wrong := [i for i, pair in pairs if pair == ("1", "0")]:
                points = self.points[tuple(getattr(cell, key) for key in SELECTION)]
                model = "/".join(str(getattr(cell, key)) for key in MODEL[1:-1])
                raise UserError(
                    f"UNSOUND: test point {points[wrong[0]]} (of {len(wrong)}) of {model}/seed{cell.seed} is certified "
                    f"at ε = {cell.eps_cert} by {cell.certifier} and broken by {panel['attack']}; one of the two is "
                    "wrong"
                )
            found.append(verdicts)
        return tuple(found)


def build_table(exhibit: Mapping[str, Any], lookup: Lookup) -> Table:
    """A table from its description (:func:`doublemargin.experiment.exhibits.exhibit_spec`)."""
    of_panels = [cells_of(panel, lookup.records.certified_accuracy) for panel in exhibit["panels"]]
    panels = [
        _panel(panel, [lookup.row(exhibit["name"], panel, row) for row in panel["rows"]], data_mark(used))
        for panel, used in zip(exhibit["panels"], of_panels, strict=True)
    ]
    table = Table(exhibit["caption"], panels, warnings=shortening(exhibit), name=exhibit["name"])
    return replace(table, notes=[*table.warnings, *_notes(exhibit, table, pd.concat(of_panels))])


def _share(paper: Any) -> Share | None:
    """A reported accuracy as a count of points; of a mean over models, of all their points."""
    if paper is None or math.isnan(paper.accuracy):
        return None
    n = paper.points * paper.models
    return Share(round(paper.accuracy * n), n)


def _panel(panel: Mapping[str, Any], rows: list[Row], mark: str) -> Panel:
    return Panel(
        panel["title"] + mark,
        *(panel[key] for key in ("dataset", "arch", "certifier", "norm", "eps_cert")),
        _mark_best(rows),
        panel["training_time"],
        panel["attack"],
        [finding(panel, pair, rows) for pair in panel["compare"]],
    )


def _mark_best(rows: list[Row]) -> list[Row]:
    """Marks the largest value of each column, ties included, leaving out the baselines and columns that are all 0."""
    columns = zip(*(row.cells for row in rows if not row.baseline), strict=True)
    best = [max((cell.ours.value for cell in column if cell.ours), default=0.0) for column in columns]

    def marked(row: Row) -> Row:
        cells = [
            replace(cell, best=cell.ours is not None and cell.ours.value == top > 0)
            for cell, top in zip(row.cells, best, strict=True)
        ]
        return replace(row, cells=tuple(cells))

    return [row if row.baseline else marked(row) for row in rows]


def _notes(exhibit: Mapping[str, Any], table: Table, used: pd.DataFrame) -> list[str]:
    run = f"{sum(cell.ours is not None for cell in table.cells)} of {len(table.cells)} cells have been run"
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
    if several := any(cell.models > 1 for cell in table.cells):
        notes.append(
            "± s (n): the mean over n trainings that differ in their seed alone, and their standard deviation s."
        )
    if any(cell.status == "partly" for cell in table.cells):
        notes.append(FEWER)
    if any(panel.training_time and ROUGHLY in row.time for panel in table.panels for row in panel.rows):
        notes.append(SLOWED)
    if attacks := sorted({panel.attack for panel in table.panels if panel.attack}):
        notes.append(
            f"{', '.join(attacks)}: the share of points that this attack does not break. Robust accuracy lies between "
            "the certified share and this one."
        )
    if any(cell.with_std for cell in table.cells):
        where = "In brackets before the %" if several else "In brackets"
        notes.append(f"{where}: the standard deviation over random hundreds of the points.")
    if any(panel.findings for panel in table.panels):
        notes.append(f"In square brackets after an accuracy: 95% Wilson interval. {TESTED}")
    return notes
