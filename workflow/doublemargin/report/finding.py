"""What two rows of a panel show when they are compared at its largest ε, with the tests that the claims use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmcore.eps import Eps
from doublemargin.report.comparison import signed
from doublemargin.report.paired import differences, paired_interval, paired_p
from doublemargin.report.tables import Cell, Row

TESTED = (
    "After a difference: Bonett and Price's 95% interval for the same test points, and p of the exact McNemar test; of "
    "means over trainings, of exact sign flips of each point's difference. Both speak of the test points: other "
    "trainings may differ by more. No p is corrected for several comparisons, or for rows that were picked for their "
    "difference."
)


def finding(panel: Mapping[str, Any], pair: Sequence[str], rows: Sequence[Row]) -> str:
    """One sentence on a pair of rows that a panel's ``compare`` names; a method alone is the last of its rows."""
    named = {name: row for row in rows for name in (row.method, f"{row.method}/{row.eps_train}")}
    compared = [named[name] for name in pair]
    eps = max(panel["eps_cert"], key=Eps.parse)
    where = f"At ε = {Eps.parse(eps).label}"
    first, second = (row.cells[panel["eps_cert"].index(eps)] for row in compared)
    names = [row.label for row in compared]
    if names[0] == names[1]:
        names = [f"{row.label} trained at {row.eps}" for row in compared]
    if first.ours is None or second.ours is None:
        return f"{where}, {' against '.join(names)}: not run."
    values = " against ".join(f"{name} {_value(cell)}" for name, cell in zip(names, (first, second), strict=True))
    gain = 100 * (first.ours.value - second.ours.value)
    verdict = "ahead" if gain > 0 else "behind" if gain < 0 else "level"
    amount = f" by {abs(gain):.1f} points" if gain else ""
    return f"{where}, {values}: {names[0]} is {verdict}{amount}{_tested(first, second)}."


def _value(cell: Cell) -> str:
    low, high = cell.interval
    return f"{cell.text} [{100 * low:.1f}, {100 * high:.1f}]"


def _tested(first: Cell, second: Cell) -> str:
    """The difference's interval and p."""
    if first.data != second.data:
        return ", untested: they were certified on different copies of the data"
    units, unit = differences(first, second)
    low, high = (signed(100 * end) for end in paired_interval([d / unit for d in units]))
    p = paired_p(units)
    return f" [{low}, {high}], p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
