"""Ours beside the paper's: the rows of accuracy tables, each cell with our verdicts and what the paper reports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doublemargin.records.columns import CELL, MODEL, UNDISTURBED
from doublemargin.records.paper import read_reported
from doublemargin.records.statistics import Share
from doublemargin.records.tidy import Records

_REPORTED_KEY = ["table", "dataset", "arch", "method", "eps_train", "certifier", "norm", "points", "eps_cert"]


@dataclass(frozen=True)
class Timing:
    """How long one of our models trained, on what, and whether its process had a processor for itself."""

    seconds: float
    device: str
    threads: str
    seed: int
    timing: str = UNDISTURBED


@dataclass(frozen=True)
class ComparedCell:
    """One accuracy of a table.

    Attributes:
        table, dataset, arch, certifier, norm, points, method, eps_train, eps_cert: what it is of; ε as ids.
        label: the method's, as in the table.
        models: how many models it is to be the mean of.
        verdicts: of each model that was run a string with a 1 for each point certified, a 0 for each other.
        data: the hash of the data they were certified on.
        paper: the paper's share; None where it is illegible, or the paper has no such cell.
        reported: whether the paper has such a cell.
    """

    table: str
    dataset: str
    arch: str
    certifier: str
    norm: str
    points: int
    method: str
    eps_train: str
    eps_cert: str
    label: str
    models: int
    verdicts: tuple[str, ...]
    data: str
    paper: Share | None
    reported: bool

    @property
    def ours(self) -> Share | None:
        """Our share, over the points of all models that were run; None if none was."""
        if not self.verdicts:
            return None
        return Share(sum(v.count("1") for v in self.verdicts), sum(map(len, self.verdicts)))


@dataclass(frozen=True)
class ComparedRow:
    """A method at one ε_train in a panel of a table.

    Attributes:
        timings: of our models that were run.
        paper_seconds: the paper's training time; None where illegible or not printed.
    """

    table: str
    panel: str
    dataset: str
    arch: str
    method: str
    label: str
    eps_train: str
    baseline: bool
    timings: tuple[Timing, ...]
    paper_seconds: float | None
    cells: tuple[ComparedCell, ...]


@dataclass(frozen=True)
class PaperComparison:
    """Looks up both sides of a cell: our records and the paper's cells, indexed once.

    Attributes:
        reported: the paper's cells by :data:`_REPORTED_KEY`.
        certified: ours, by model and certification: verdicts and the hash of the data.
        timings: of our models, by their specifications' hashes.
    """

    reported: Mapping[tuple[Any, ...], Any]
    certified: Mapping[tuple[Any, ...], tuple[str, str]]
    timings: Mapping[str, Timing]

    @classmethod
    def of(cls, records: Records, reported: Path) -> PaperComparison:
        """From our records and the file of the paper's cells."""
        paper = read_reported(reported)
        keys = paper[_REPORTED_KEY].itertuples(index=False, name=None)
        verdicts = records.verdicts[[*MODEL, *CELL, "verdicts"]]
        ours = records.certified_accuracy.merge(verdicts, on=[*MODEL, *CELL], validate="one_to_one")
        return cls(
            dict(zip(keys, paper.itertuples(index=False), strict=True)),
            {(c.spec_hash, *(getattr(c, k) for k in CELL)): (c.verdicts, c.data_sha256) for c in ours.itertuples()},
            {
                t.spec_hash: Timing(t.seconds, t.device, t.threads, t.seed, t.timing)
                for t in records.training.itertuples()
            },
        )

    def panels(self, exhibit: Mapping[str, Any]) -> Iterator[list[ComparedRow]]:
        """The rows of each panel of an accuracy table (:func:`doublemargin.experiment.exhibits.exhibit_spec`)."""
        for panel in exhibit["panels"]:
            yield [self._row(exhibit["name"], panel, row) for row in panel["rows"]]

    def rows(self, exhibit: Mapping[str, Any]) -> list[ComparedRow]:
        """The rows of all its panels."""
        return [row for panel in self.panels(exhibit) for row in panel]

    def _row(self, table: str, panel: Mapping[str, Any], row: Mapping[str, Any]) -> ComparedRow:
        cells, seconds = [], None
        for eps in panel["eps_cert"]:
            place = {
                "table": table, "dataset": panel["dataset"], "arch": panel["arch"], "method": row["method"],
                "eps_train": row["eps"], "certifier": panel["certifier"], "norm": panel["norm"],
                "points": panel["points"], "eps_cert": eps,
            }  # fmt: skip
            paper = self.reported.get(tuple(place[key] for key in _REPORTED_KEY))
            certified = {**panel, **place, **{key: str(panel[key]) for key in ("clip_input", "intersect_ibp")}}
            certification = tuple(certified[key] for key in CELL)
            keys = [(model, *certification) for model in row["models"]]
            ours = [self.certified[key] for key in keys if key in self.certified]
            cells.append(
                ComparedCell(
                    **place,
                    label=row["label"],
                    models=len(row["models"]),
                    verdicts=tuple(verdicts for verdicts, _ in ours),
                    data=" ".join(sorted({data for _, data in ours})),
                    paper=_share(paper),
                    reported=paper is not None,
                )
            )
            if paper is not None and not math.isnan(paper.seconds):
                seconds = paper.seconds
        return ComparedRow(
            table=table,
            panel=panel["title"],
            dataset=panel["dataset"],
            arch=panel["arch"],
            method=row["method"],
            label=row["label"],
            eps_train=row["eps"],
            baseline=row["baseline"],
            timings=tuple(self.timings[model] for model in row["models"] if model in self.timings),
            paper_seconds=seconds,
            cells=tuple(cells),
        )


def _share(paper: Any) -> Share | None:
    """A reported accuracy as a count of points; of a mean over models, of all their points."""
    if paper is None or math.isnan(paper.accuracy):
        return None
    n = paper.points * paper.models
    return Share(round(paper.accuracy * n), n)
