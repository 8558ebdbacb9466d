"""From tidy records to files: every kind of exhibit, and the whole report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dmcore.report.figures import curves, margins, relu_bounds
from dmcore.report.records import Records
from dmcore.report.render import write_table
from dmcore.report.tables import build_table

Exhibit = Mapping[str, Any]
"""A table or figure as :func:`dmcore.exhibits.exhibit_spec` resolves it."""


def _accuracies(exhibit: Exhibit, records: Records, stem: Path) -> None:
    write_table(build_table(exhibit, records), stem)


TABLES: dict[str, Callable[[Exhibit, Records, Path], None]] = {"accuracies": _accuracies}
FIGURES: dict[str, Callable[[Exhibit, Records, Path], None]] = {
    "curves": curves.write,
    "margins": margins.write,
    "relu_bounds": relu_bounds.write,
}


def make_tables(exhibits: Mapping[str, Exhibit], records: Records, out: Path) -> None:
    """Writes tables, each as Markdown, text, LaTeX, CSV and HTML."""
    for name, exhibit in exhibits.items():
        TABLES[exhibit["kind"]](exhibit, records, out / name)


def make_figures(exhibits: Mapping[str, Exhibit], records: Records, out: Path) -> None:
    """Writes figures, each as PNG, SVG and PDF."""
    for name, exhibit in exhibits.items():
        FIGURES[exhibit["kind"]](exhibit, records, out / name)


def make_report(spec: Mapping[str, Any], records: Records, out: Path) -> None:
    """Writes the whole report of :func:`dmcore.exhibits.report_spec`."""
    make_tables(spec["tables"], records, out / "tables")
    make_figures(spec["figures"], records, out / "figures")
