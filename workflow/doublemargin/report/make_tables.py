"""From tidy records to the files of tables, and of their comparisons with the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmcore.files import write_text
from doublemargin.experiment.exhibits import accuracy_tables
from doublemargin.records.tidy import Records
from doublemargin.report.build_table import Lookup, build_table
from doublemargin.report.comparison import compare, write_comparison
from doublemargin.report.cost import cost_table
from doublemargin.report.render import comma_separated, html, latex, markdown, plain
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
            texts = {suffix: module.accuracies(table) for suffix, module in FORMATS.items()}
        else:
            words = cost_table(exhibit, records) if exhibit["kind"] == "cost" else read_text_table(exhibit)
            texts = {suffix: module.text(words) for suffix, module in FORMATS.items()}
        for suffix, text in texts.items():
            write_text(out / f"tables/{name}{suffix}", text)
        write_comparison(compare(exhibit, table, records), out / "comparisons" / name)
