"""The report's first page: what has been run, on what, and at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from doublemargin.experiment.exhibits import accuracy_tables, all_exhibits, heading
from doublemargin.records.paper import read_reported
from doublemargin.records.tidy import Records
from doublemargin.report.origin import used_by, warnings
from doublemargin.report.render.markdown import grid, page
from doublemargin.report.render.templates import web_page
from doublemargin.report.tables import NOT_RUN

HOUR = 3600
COVERAGE = ["", "models trained", "cells certified", "hours of training", "data"]
DEVICES = ["device", "models trained", "hours of training", "hours of certification"]


@dataclass(frozen=True)
class Coverage:
    """How much of a table, or of the whole report, has been run.

    Attributes:
        trained: models trained, of ``models``.
        run: cells certified, of ``cells``.
        hours: what the training of these models took, on whatever device.
        variants: which copies of the data sets were used.
    """

    name: str
    trained: int
    models: int
    run: int
    cells: int
    hours: float
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """What a report's records hold.

    Attributes:
        exhibits: the coverage of each table of accuracies.
        total: that of the whole report, each model and cell counted once.
        devices: for each device, models trained on it, hours of training, and hours of certification.
        versions: commits and versions of torch that made the results.
        paper_hours: what the paper says its models took on its own GPU; None without a paper to compare with.
        warnings: what sets the results apart from the paper's: a shortened schedule, copies of the data.
    """

    schedule: str
    exhibits: list[Coverage]
    total: Coverage
    devices: list[tuple[str, int, float, float]]
    versions: list[tuple[str, str]]
    paper_hours: float | None
    warnings: list[str]


def build_overview(spec: Mapping[str, Any], records: Records) -> Overview:
    """Counts what the records hold of a report (:func:`doublemargin.experiment.exhibits.report_spec`)."""
    tables = accuracy_tables(spec["tables"])
    everything = all_exhibits(spec)
    total = _coverage("all", everything, records)
    cells, models = used_by(everything, records)
    devices = []
    for device in sorted({*models["device"], *cells["device"]}):
        trained, certified = models[models["device"] == device], cells[cells["device"] == device]
        devices.append((device, len(trained), _hours(trained), _hours(certified)))
    made = pd.concat([models[["commit", "torch"]], cells[["commit", "torch"]]]).drop_duplicates()
    return Overview(
        schedule=spec["schedule"],
        exhibits=[_coverage(name, {name: table}, records) for name, table in tables.items()],
        total=total,
        devices=devices,
        versions=sorted(made.itertuples(index=False, name=None)),
        paper_hours=_paper_hours(Path(spec["reported"])) if spec["reported"] else None,
        warnings=warnings(spec, cells),
    )


def _coverage(name: str, exhibits: Mapping[str, Mapping[str, Any]], records: Records) -> Coverage:
    wanted = {
        (model, panel["certifier"], panel["norm"], panel["points"], eps)
        for exhibit in exhibits.values()
        for panel in exhibit["panels"]
        for row in panel["rows"]
        for model in row["models"]
        for eps in panel["eps_cert"]
    }
    cells, models = used_by(exhibits, records)
    sources = models[["dataset", "variant"]].drop_duplicates().sort_values("dataset")
    return Coverage(
        name,
        len(models),
        len({model for model, *_ in wanted}),
        len(cells),
        len(wanted),
        _hours(models),
        tuple(f"{source.dataset} ({source.variant})" for source in sources.itertuples()),
    )


def _hours(lines: pd.DataFrame) -> float:
    return float(lines["seconds"].sum()) / HOUR


def _paper_hours(reported: Path) -> float:
    """Each model of the paper once, with the first training time that is printed for it."""
    cells = read_reported(reported).dropna(subset="seconds")
    return _hours(cells.drop_duplicates(["dataset", "arch", "method", "eps_train"]))


def markdown(overview: Overview) -> str:
    """GitHub's Markdown."""
    parts = [f"**{title(overview)}**", *(f"> **{warning}**" for warning in overview.warnings), summary(overview)]
    parts += [grid(head, rows, ["left", *["right"] * 3, "left"][: len(head)]) for head, rows in tables(overview)]
    return page([*parts, *notes(overview)])


def html(overview: Overview) -> str:
    """A page of its own, for the report."""
    return web_page(
        "overview.html.j2",
        title=title(overview),
        overview=overview,
        summary=summary(overview),
        tables=tables(overview),
        remarks=notes(overview),
    )


FORMATS = {".md": markdown, ".html": html}


def tables(overview: Overview) -> list[tuple[list[str], list[list[str]]]]:
    """Heads and rows: models, cells, hours and data of each table and of all, and what each device did, if any."""
    coverage = [_line(heading(part.name), part) for part in overview.exhibits]
    devices = [[device, str(n), f"{train:.2f}", f"{certify:.2f}"] for device, n, train, certify in overview.devices]
    shown = [(COVERAGE, [*coverage, _line("whole report", overview.total)]), (DEVICES, devices)]
    return [(head, rows) for head, rows in shown if rows]


def title(overview: Overview) -> str:
    """The page's heading."""
    return f"What has been run of schedule {overview.schedule}"


def summary(overview: Overview) -> str:
    """The whole report in a sentence."""
    total = overview.total
    return (
        f"{total.trained} of {total.models} models are trained and {total.run:,} of {total.cells:,} cells certified; "
        "every model and cell counts once, however many tables show it."
    )


def notes(overview: Overview) -> list[str]:
    """Versions, and what the paper's own trainings took."""
    commits: dict[str, list[str]] = {}
    for commit, torch in overview.versions:
        commits.setdefault(torch, []).append(commit)
    made = [f"Made by commit {', '.join(found)} with torch {torch}." for torch, found in commits.items()]
    if overview.paper_hours is not None:
        made.append(
            f"The paper's own models took {overview.paper_hours:.1f} hours of training on a P100 GPU, "
            "as far as it prints their times. Hours here are those of the process on its device; "
            "certification counts each cell's own time."
        )
    return made


def _line(name: str, part: Coverage) -> list[str]:
    hours = f"{part.hours:.2f}" if part.trained else NOT_RUN
    data = "; ".join(part.variants) or NOT_RUN
    return [name, f"{part.trained} of {part.models}", f"{part.run:,} of {part.cells:,}", hours, data]
