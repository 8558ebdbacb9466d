"""Comparisons with the paper as Markdown, CSV and HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tabulate import tabulate

from dmcore.files import write_text
from doublemargin.report.comparison import Comparison, Difference, paper_time, time_ratio
from doublemargin.report.render.comma_separated import csv_text
from doublemargin.report.render.layout import by_run
from doublemargin.report.render.markdown import bullets, page, words
from doublemargin.report.render.templates import web_page
from doublemargin.report.tables import Cell, Panel, Row

HEAD = ["Method", "ε_train", "", "Training time (s)"]


def write_comparison(comparison: Comparison, stem: Path) -> None:
    """Writes ``stem.md``, ``.csv`` and ``.html``."""
    for suffix, render in FORMATS.items():
        write_text(stem.with_suffix(suffix), render(comparison))


def markdown(comparison: Comparison) -> str:
    """GitHub's Markdown, three lines a row: ours, the paper's, the difference."""
    parts = [f"**{words(comparison.title)}**", *(f"> **{words(warning)}**" for warning in comparison.warnings)]
    parts.append(f"**{comparison.summary.text}**")
    for panel in comparison.panels:
        head = _head(panel)
        align = ["left", "left", "left", *["right"] * (len(head) - 3)]
        body = [[words(first), *rest] for row in panel.rows for first, *rest in lines(panel, row)]
        parts += [
            f"### {words(panel.title)}",
            tabulate(body, head, tablefmt="pipe", colalign=align, disable_numparse=True),
        ]
    return page([*parts, bullets(words(note) for note in comparison.notes)])


def lines(panel: Panel, row: Row) -> list[list[str]]:
    """A row's three lines of text."""
    differences = [Difference(cell) for cell in row.cells]
    ratio = time_ratio(row)
    return [
        [row.label, row.eps, "ours", row.time, *(difference.ours_text for difference in differences)],
        ["", "", "paper", paper_time(row, panel.training_time), *(d.paper_text for d in differences)],
        ["", "", "difference", "" if ratio is None else f"× {ratio:.2g}", *(d.text for d in differences)],
    ]


def comma_separated(comparison: Comparison) -> str:
    """One line a cell, numbers unrounded; shares in [0, 1], empty where there is no value."""
    lines = [
        _line(panel, row, eps, cell)
        for panel in comparison.panels
        for row in panel.rows
        for eps, cell in zip(panel.eps, row.cells, strict=True)
    ]
    return csv_text([_COLUMNS, *lines])


def _line(panel: Panel, row: Row, eps: str, cell: Cell) -> list[Any]:
    difference = Difference(cell)
    shares = [(share.value, *share.interval) if share else (None,) * 3 for share in (cell.ours, cell.paper)]
    return [
        *(panel.title, row.label, row.eps, row.seconds, row.paper_seconds, eps),
        *(cell.points, len(cell.verdicts), *shares[0], *shares[1]),
        *(difference.value, *(difference.interval or (None, None)), bool(difference.mark)),
    ]


_COLUMNS = [
    *("panel", "method", "eps_train", "training_seconds", "paper_training_seconds", "eps_cert", "points", "models"),
    *("accuracy", "wilson_low", "wilson_high", "paper_accuracy", "paper_wilson_low", "paper_wilson_high"),
    *("difference", "difference_low", "difference_high", "outside_both_samplings"),
]


def html(comparison: Comparison) -> str:
    """A page of its own, for the report."""
    return web_page(
        "comparison.html.j2", title=comparison.title, comparison=comparison, head=_head, lines=lines, by_run=by_run
    )


def _head(panel: Panel) -> list[str]:
    return [*HEAD, *(f"ε = {eps}" for eps in panel.eps)]


FORMATS = {".md": markdown, ".csv": comma_separated, ".html": html}
