"""From tidy records to the files of tables, and of their comparisons with the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doublemargin.experiment.exhibits import accuracy_tables
from doublemargin.records.tidy import Records
from doublemargin.report import comparison
from doublemargin.report.build_table import Lookup, build_table
from doublemargin.report.cost import cost_table
from doublemargin.report.render import comma_separated, html, latex, markdown, plain
from doublemargin.report.render.templates import write_all
from doublemargin.report.text_tables import read_text_table

FORMATS = {".md": markdown, ".txt": plain, ".tex": latex, ".csv": comma_separated, ".html": html}


def make_tables(exhibits: Mapping[str, Mapping[str, Any]], records: Records, out: Path) -> None:
    """Writes each table, as Markdown, text, LaTeX, CSV and HTML, and its comparison, as Markdown, CSV and HTML.

    Args:
        exhibits: by name, as :func:`doublemargin.experiment.exhibits.exhibit_spec` resolves them.
        out: the folder of ``tables/`` and ``comparisons/``.
    """
    reported = {exhibit["reported"] for exhibit in accuracy_tables(exhibits).values()}
    lookups = {path: Lookup.of(records, path) for path in reported}
    for name, exhibit in exhibits.items():
        table = None
        if exhibit["kind"] == "accuracies":
            table = build_table(exhibit, lookups[exhibit["reported"]])
            write_all(out / "tables" / name, table, {suffix: of.accuracies for suffix, of in FORMATS.items()})
        else:
            words = cost_table(exhibit, records) if exhibit["kind"] == "cost" else read_text_table(exhibit)
            write_all(out / "tables" / name, words, {suffix: of.text for suffix, of in FORMATS.items()})
        write_all(out / "comparisons" / name, comparison.compare(exhibit, table, records), comparison.FORMATS)
