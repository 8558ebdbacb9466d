"""From tidy records to the files of tables, and of their comparisons with the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doublemargin.experiment.exhibits import accuracy_tables
from doublemargin.records.tidy import Records
from doublemargin.report.build_table import Lookup, build_table
from doublemargin.report.comparison import compare
from doublemargin.report.cost import cost_table
from doublemargin.report.render.formats import write_table, write_text_table
from doublemargin.report.render_comparison import write_comparison
from doublemargin.report.text_tables import read_text_table


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
            write_table(table, out / "tables" / name)
        elif exhibit["kind"] == "cost":
            write_text_table(cost_table(exhibit, records), out / "tables" / name)
        else:
            write_text_table(read_text_table(exhibit), out / "tables" / name)
        write_comparison(compare(exhibit, table, records), out / "comparisons" / name)
