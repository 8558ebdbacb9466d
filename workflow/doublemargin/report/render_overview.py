"""The overview as Markdown and HTML."""

from __future__ import annotations

from pathlib import Path

from tabulate import tabulate

from dmcore.files import write_text
from doublemargin.experiment.exhibits import heading
from doublemargin.report.overview import Coverage, Overview
from doublemargin.report.render.markdown import page
from doublemargin.report.render.templates import web_page
from doublemargin.report.tables import NOT_RUN

COVERAGE = ["", "models trained", "cells certified", "hours of training", "data"]
DEVICES = ["device", "models trained", "hours of training", "hours of certification"]


def write_overview(overview: Overview, stem: Path) -> None:
    """Writes ``stem.md`` and ``stem.html``."""
    write_text(stem.with_suffix(".md"), markdown(overview))
    write_text(stem.with_suffix(".html"), html(overview))


def markdown(overview: Overview) -> str:
    """GitHub's Markdown."""
    parts = [f"**{title(overview)}**", *(f"> **{warning}**" for warning in overview.warnings), summary(overview)]
    parts.append(_grid(coverage_rows(overview), COVERAGE))
    if overview.devices:
        parts.append(_grid(device_rows(overview), DEVICES))
    return page([*parts, *notes(overview)])


def html(overview: Overview) -> str:
    """A page of its own, for the report."""
    tables = [(COVERAGE, coverage_rows(overview))]
    if overview.devices:
        tables.append((DEVICES, device_rows(overview)))
    return web_page(
        "overview.html.j2",
        title=title(overview),
        overview=overview,
        summary=summary(overview),
        tables=tables,
        remarks=notes(overview),
    )


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


def coverage_rows(overview: Overview) -> list[list[str]]:
    """A line a table, and one for all: models, cells, hours of training, data."""
    lines = [_line(heading(part.name), part) for part in overview.exhibits]
    return [*lines, _line("whole report", overview.total)]


def device_rows(overview: Overview) -> list[list[str]]:
    """A line a device: models trained on it, hours of training and of certification."""
    return [[device, str(n), f"{train:.2f}", f"{certify:.2f}"] for device, n, train, certify in overview.devices]


def notes(overview: Overview) -> list[str]:
    """Versions, and what the paper's own trainings took."""
    made = [f"Made by commit {commit} with torch {torch}." for commit, torch in overview.versions]
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


def _grid(rows: list[list[str]], head: list[str]) -> str:
    align = ["left", *["right"] * 3, "left"][: len(head)]
    return tabulate(rows, head, tablefmt="pipe", colalign=align, disable_numparse=True)
