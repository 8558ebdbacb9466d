"""From tidy records to files: every kind of exhibit, and the whole report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dmcore.files import write_text
from dmcore.report.cost import cost_table
from dmcore.report.figures import write_figure
from dmcore.report.records import Records
from dmcore.report.render import latex, write_table, write_text_table
from dmcore.report.tables import build_table
from dmcore.report.text_tables import read_text_table

Exhibit = Mapping[str, Any]
"""A table or figure as :func:`dmcore.exhibits.exhibit_spec` resolves it."""


def _accuracies(exhibit: Exhibit, records: Records, stem: Path) -> None:
    write_table(build_table(exhibit, records), stem)


def _text(exhibit: Exhibit, records: Records, stem: Path) -> None:
    write_text_table(read_text_table(exhibit), stem)


def _cost(exhibit: Exhibit, records: Records, stem: Path) -> None:
    write_text_table(cost_table(exhibit, records), stem)


TABLES: dict[str, Callable[[Exhibit, Records, Path], None]] = {"accuracies": _accuracies, "text": _text, "cost": _cost}
FIGURES: dict[str, Callable[[Exhibit, Records, Path], None]] = {"curves": write_figure}


def make_tables(exhibits: Mapping[str, Exhibit], records: Records, out: Path) -> None:
    """Writes tables, each as Markdown, text, LaTeX, CSV and HTML."""
    for name, exhibit in exhibits.items():
        TABLES[exhibit["kind"]](exhibit, records, out / name)


def make_document(schedule: str, tables: Sequence[str], out: Path) -> None:
    """Writes ``all-tables.tex``, a LaTeX document of the tables that lie beside it, whether they do yet or not."""
    write_text(out / "all-tables.tex", latex.document(schedule, tables))


def make_figures(exhibits: Mapping[str, Exhibit], records: Records, out: Path) -> None:
    """Writes figures, each as PNG, SVG and PDF."""
    for name, exhibit in exhibits.items():
        FIGURES[exhibit["kind"]](exhibit, records, out / name)


def make_report(spec: Mapping[str, Any], records: Records, out: Path) -> None:
    """Writes the whole report of :func:`dmcore.exhibits.report_spec`."""
    make_tables(spec["tables"], records, out / "tables")
    make_document(spec["schedule"], list(spec["tables"]), out / "tables")
    make_figures(spec["figures"], records, out / "figures")
