"""A table in every format."""

from __future__ import annotations

from pathlib import Path

from dmcore.files import write_text
from doublemargin.report.render import comma_separated, html, latex, markdown, plain
from doublemargin.report.tables import Table
from doublemargin.report.text_tables import TextTable

FORMATS = {".md": markdown, ".txt": plain, ".tex": latex, ".csv": comma_separated, ".html": html}


def write_table(table: Table, stem: Path) -> None:
    """Writes an accuracy table as ``stem.md``, ``.txt`` (for a terminal), ``.tex``, ``.csv`` and ``.html``."""
    for suffix, module in FORMATS.items():
        write_text(stem.with_suffix(suffix), module.accuracies(table))


def write_text_table(table: TextTable, stem: Path) -> None:
    """Writes a table of words and formulas in the same formats."""
    for suffix, module in FORMATS.items():
        write_text(stem.with_suffix(suffix), module.text(table))
