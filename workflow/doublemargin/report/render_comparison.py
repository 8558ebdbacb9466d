"""Comparisons with the paper as Markdown, CSV and HTML."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tabulate import tabulate

from dmcore.files import write_text
from doublemargin.report.comparison import Comparison, Line, Panel
from doublemargin.report.render.markdown import words
from doublemargin.report.render.templates import web_page

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
        head = [*HEAD, *(f"ε = {eps}" for eps in panel.eps)]
        align = ["left", "left", "left", *["right"] * (len(head) - 3)]
        body = [[words(row[0]), *row[1:]] for line in panel.lines for row in rows(line)]
        parts += [
            f"### {words(panel.title)}",
            tabulate(body, head, tablefmt="pipe", colalign=align, disable_numparse=True),
        ]
    parts.append("\n".join(f"- {words(note)}" for note in comparison.notes))
    return "\n\n".join(parts) + "\n"


def rows(line: Line) -> list[list[str]]:
    """A line's three rows of text."""
    ratio = "" if line.ratio is None else f"× {line.ratio:.2g}"
    return [
        [line.label, line.eps_train, "ours", line.time_text, *(pair.ours_text for pair in line.pairs)],
        ["", "", "paper", line.paper_time_text, *(pair.paper_text for pair in line.pairs)],
        ["", "", "difference", ratio, *(pair.difference_text for pair in line.pairs)],
    ]


def comma_separated(comparison: Comparison) -> str:
    """One line a cell, numbers unrounded; shares in [0, 1], empty where there is no value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for panel in comparison.panels:
        for line in panel.lines:
            for eps, pair in zip(panel.eps, line.pairs, strict=True):
                cell = pair.cell
                ours, paper = (
                    (share.value, *share.interval) if share else [""] * 3 for share in (cell.ours, cell.paper)
                )
                place = [panel.title, line.label, line.eps_train, line.seconds, line.paper_seconds, eps]
                difference = [pair.difference, *(pair.interval or ("", "")), bool(pair.mark)]
                writer.writerow([*place, cell.points, len(cell.verdicts), *ours, *paper, *difference])
    return text.getvalue()


_COLUMNS = [
    *("panel", "method", "eps_train", "training_seconds", "paper_training_seconds", "eps_cert", "points", "models"),
    *("accuracy", "wilson_low", "wilson_high", "paper_accuracy", "paper_wilson_low", "paper_wilson_high"),
    *("difference", "difference_low", "difference_high", "outside_both_samplings"),
]


def html(comparison: Comparison) -> str:
    """A page of its own, for the report."""
    return web_page("comparison.html.j2", comparison=comparison, head=_head, rows=rows)


def _head(panel: Panel) -> list[str]:
    return [*HEAD, *(f"ε = {eps}" for eps in panel.eps)]


FORMATS = {".md": markdown, ".csv": comma_separated, ".html": html}
