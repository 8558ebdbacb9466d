"""CSV: one line a cell, shares to six digits, ε and ids as in the records."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from doublemargin.report.render.plain import source
from doublemargin.report.tables import Cell, Panel, Row, Table
from doublemargin.report.text_tables import TextTable

COLUMNS = [
    *("panel", "dataset", "arch", "certifier", "norm", "method", "label", "eps_train", "training_seconds", "eps_cert"),
    *("points", "models", "models_run", "accuracy", "std_over_hundreds", "wilson_low", "wilson_high", "best", "status"),
    "warning",
]
OVER_SEEDS = "std_over_seeds"
"""A column more where a row has several models."""
NOT_BROKEN = "not_broken"
"""A column more, the last, where a panel names an attack: the share of points that it does not break."""


def accuracies(table: Table) -> str:
    """An accuracy table; a cell is the mean of ``models_run`` models, where it is to be that of ``models``."""
    several = any(cell.models > 1 for cell in table.cells)
    attacked = any(panel.attack for panel in table.panels)
    return csv_text(
        [
            [*COLUMNS, *[OVER_SEEDS] * several, *[NOT_BROKEN] * attacked],
            *(
                [
                    *_line(panel, row, cell),
                    " ".join(table.warnings),
                    *[_rounded(cell.std_over_seeds)] * several,
                    *[_rounded(cell.not_broken and cell.not_broken.value)] * attacked,
                ]
                for panel in table.panels
                for row in panel.rows
                for cell in row.cells
            ),
        ]
    )


def text(table: TextTable) -> str:
    """A table of words and formulas, these as TeX between dollars; warnings, if any, in a column more."""
    rows = [[source(cell) for cell in row] for row in (table.head, *table.rows)]
    if table.warnings:
        rows = [[*row, " ".join(table.warnings) if i else "Warning"] for i, row in enumerate(rows)]
    return csv_text(rows)


def _line(panel: Panel, row: Row, cell: Cell) -> list[Any]:
    shares = (cell.ours and cell.ours.value, cell.std_over_hundreds, *(cell.interval or (None, None)))
    return [
        *(panel.title, panel.dataset, panel.arch, panel.certifier, panel.norm),
        *(row.method, row.label, row.eps_train, row.seconds, cell.eps_cert),
        *(cell.points, cell.models, len(cell.verdicts)),
        *map(_rounded, shares),
        *(cell.best, cell.status),
    ]


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, numbers unrounded, None as nothing."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()
