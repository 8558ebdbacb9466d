"""How an accuracy table is laid out, whatever its format: blocks under one head, groups of one ε_train."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from doublemargin.report.tables import Panel, Row, Table

TIME = "Training time (s)"

Group = tuple[str, list[Row]]
"""Rows of one ε_train, after that as it is printed: ``ε = 0.3``, or nothing."""


def blocks(table: Table) -> list[list[Panel]]:
    """Consecutive panels with the same columns: they share a head."""
    return [list(panels) for _, panels in groupby(table.panels, key=lambda p: (p.eps_ids, p.training_time, p.attack))]


def head(panel: Panel) -> list[str]:
    """The names of a panel's columns; that of ε_train has none, as in the paper."""
    first, *others = panel.eps
    printed = zip(panel.eps_ids, panel.eps, strict=True)
    attacked = [f"{label}, {panel.attack}" for eps, label in printed if eps in panel.eps_attacked]
    return ["Method", "", *([TIME] if panel.training_time else []), f"ε_cert = {first}", *others, *attacked]


def cells(panel: Panel, row: Row, best: str) -> list[str]:
    """What stands in a row from the third column on; ``best`` is how the best of a column is written."""
    time = [row.time] if panel.training_time else []
    return time + [best.format(cell.text) if cell.best else cell.text for cell in row.cells] + upper(panel, row)


def upper(panel: Panel, row: Row) -> list[str]:
    """What stands in the columns of the panel's attack, the last ones."""
    return [cell.upper_text for cell in row.cells if cell.eps_cert in panel.eps_attacked]


def groups(panel: Panel) -> list[Group]:
    """The rows that share a line of the config and an ε_train: methods that measure ε in other norms stay apart."""
    by_group = groupby(panel.rows, key=lambda row: (row.group, row.eps))
    return [(f"ε = {eps}" if eps else "", list(rows)) for (_, eps), rows in by_group]


def by_run(panel: Panel) -> tuple[Panel, Panel]:
    """The panel with the rows of which anything has been run, and with those of which nothing has."""
    run = [row for row in panel.rows if row.timings or any(cell.verdicts for cell in row.cells)]
    return replace(panel, rows=run), replace(panel, rows=[row for row in panel.rows if row not in run])


def ruled(panel: Panel) -> bool:
    """Whether there are rules between the groups: not where each is a single row."""
    return any(len(rows) > 1 for _, rows in groups(panel))
