"""CSV: one line a cell, shares to six digits, ε and ids as in the records."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from doublemargin.report.render.plain import source
from doublemargin.report.tables import Panel, Row, Table, Value
from doublemargin.report.text_tables import TextTable

COLUMNS = [
    *("panel", "dataset", "arch", "certifier", "norm", "method", "label", "eps_train", "training_seconds", "eps_cert"),
    *("points", "models", "models_run", "accuracy", "std", "wilson_low", "wilson_high", "best", "status", "warning"),
]


def accuracies(table: Table) -> str:
    """An accuracy table; a cell is the mean of ``models_run`` models, where it is to be that of ``models``."""
    return _lines(
        [
            COLUMNS,
            *(
                [*_line(panel, row, eps, value), " ".join(table.warnings)]
                for panel in table.panels
                for row in panel.rows
                for eps, value in zip(panel.eps_ids, row.values, strict=True)
            ),
        ]
    )


def text(table: TextTable) -> str:
    """A table of words and formulas, these as TeX between dollars; warnings, if any, in a column more."""
    rows = [[source(cell) for cell in row] for row in (table.head, *table.rows)]
    if table.warnings:
        rows = [[*row, " ".join(table.warnings) if i else "Warning"] for i, row in enumerate(rows)]
    return _lines(rows)


def _line(panel: Panel, row: Row, eps: str, value: Value) -> list[Any]:
    shares = (value.share, value.std, *(value.interval or (None, None)))
    return [
        *(panel.title, panel.dataset, panel.arch, panel.certifier, panel.norm),
        *(row.method, row.label, row.eps_id, row.seconds, eps),
        *(value.points, value.models, value.run),
        *(None if share is None else round(share, 6) for share in shares),
        *(value.best, value.status),
    ]


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()
