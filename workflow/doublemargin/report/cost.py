"""Table 1: the regularisers and what training with them costs, the paper's statement and our own measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from dmcore.errors import UserError
from doublemargin.records.columns import UNDISTURBED
from doublemargin.records.tidy import Records
from doublemargin.report.origin import shortening
from doublemargin.report.tables import ROUGHLY
from doublemargin.report.text_tables import TextTable, read_text_table

METHODS = "Methods"
MEASURED = "Measured"
BASE = "normal"
NOT_RUN, NOT_COMPARABLE = "not run", f"not comparable{ROUGHLY}"
ALIKE = ["dataset", "arch", "device", "threads"]
"""What two trainings share when their times are compared; so is the batch, within a schedule."""


def cost_table(exhibit: Mapping[str, Any], records: Records) -> TextTable:
    """The table in the exhibit's source, its column ``Methods`` (ids, not printed) replaced by what was measured.

    Raises:
        UserError: as :func:`read_text_table`; or the source has no such column.
    """
    table = read_text_table(exhibit)
    if METHODS not in table.head:
        raise UserError(f"{exhibit['source']} has no column '{METHODS}' with the ids of the methods to measure")
    at = table.head.index(METHODS)
    trained = records.training[records.training["spec_hash"].isin(exhibit["models"])]
    measured = [_measured(trained, methods.split(", ")) for methods in table.column(METHODS)]
    rows = [[*row[:at], *row[at + 1 :], cell] for row, cell in zip(table.rows, measured, strict=True)]
    warnings = shortening(exhibit)
    notes = [*table.notes, *warnings, _note(exhibit, trained)]
    if NOT_COMPARABLE in measured:
        notes.append(
            f"{ROUGHLY}: trained, but beside other work that may have slowed it down, or without a normal training to "
            "compare it with."
        )
    head = [*table.head[:at], *table.head[at + 1 :], MEASURED]
    return replace(table, head=head, rows=rows, notes=notes, warnings=warnings)


def ratios(training: pd.DataFrame, methods: list[str]) -> pd.Series:
    """Training time a step of each model of some methods over that of each normally trained one it is comparable to."""
    timed = training[training["timing"] == UNDISTURBED].assign(step=training["seconds"] / training["steps"])
    pairs = timed[timed["method"].isin(methods)].merge(timed[timed["method"] == BASE], on=ALIKE, suffixes=("", "_base"))
    return pairs["step"] / pairs["step_base"]


def _measured(trained: pd.DataFrame, methods: list[str]) -> str:
    """``×1.31 (1.20–1.42)``: median and range, or why there are none."""
    found = ratios(trained, methods)
    if found.empty:
        return NOT_COMPARABLE if trained["method"].isin(methods).any() else NOT_RUN
    spread = f" ({_digits(found.min())}–{_digits(found.max())})" if len(found) > 1 else ""
    return f"×{_digits(found.median())}{spread}"


def _digits(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _note(exhibit: Mapping[str, Any], trained: pd.DataFrame) -> str:
    devices = ", ".join(sorted(trained["device"].unique()))
    return (
        f"{MEASURED} (schedule {exhibit['schedule']}{', on ' + devices if devices else ''}): training time a step "
        "over that of normal training on the same data set, network, device and number of threads; median and range "
        "over all such pairs of models whose processes had a processor for themselves."
    )
