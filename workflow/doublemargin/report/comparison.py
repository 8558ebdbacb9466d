"""A table of ours beside the paper's: each cell's two values, their difference, and whether sampling explains it.

A difference is *outside both samplings* if the 95% interval of the difference of two independent samples, Newcombe's
hybrid score interval, does not contain 0. The paper's test points are not known, so nothing can be paired. Newcombe's
interval adds the arms of the two Wilson intervals in squares, so that then neither value lies in the other's interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from doublemargin.experiment.exhibits import heading
from doublemargin.records.statistics import Share, decimals, newcombe_interval
from doublemargin.records.tidy import Records
from doublemargin.report.origin import data_mark, notes, used_by, warnings
from doublemargin.report.render.comma_separated import csv_text
from doublemargin.report.render.layout import by_run
from doublemargin.report.render.markdown import bullets, grid, page, words
from doublemargin.report.render.templates import web_page
from doublemargin.report.tables import FEWER, NOT_RUN, PARTLY, SLOWED, Cell, Panel, Row, Table

ILLEGIBLE = "illegible"
NOT_REPORTED = "not printed"
ABOVE, BELOW = "▲", "▼"
HEAD = ["Method", "ε_train", "", "Training time (s)"]


@dataclass(frozen=True)
class Difference:
    """A cell's two values, and ours less the paper's."""

    cell: Cell

    @property
    def value(self) -> float | None:
        """As a share; None unless there are both values."""
        return self.cell.ours.value - self.cell.paper.value if self.cell.ours and self.cell.paper else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95% interval."""
        return newcombe_interval(self.cell.ours, self.cell.paper) if self.cell.ours and self.cell.paper else None

    @property
    def mark(self) -> str:
        """Up or down where it is outside both samplings, else nothing."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return ""
        return ABOVE if self.interval[0] > 0 else BELOW

    @property
    def text(self) -> str:
        """``−12.5 ▼``, in percentage points; or nothing."""
        return "" if self.value is None else f"{signed(100 * self.value, self._decimals)} {self.mark}".rstrip()

    @property
    def ours_text(self) -> str:
        """``66.5 [59.7, 72.7]``, with a dagger where models are missing from a mean, or a dash."""
        if self.cell.ours is None:
            return NOT_RUN
        return self._shown(self.cell.ours) + (PARTLY if self.cell.status == "partly" else "")

    @property
    def paper_text(self) -> str:
        """As :attr:`ours_text`, or why there is none."""
        if self.cell.paper is None:
            return ILLEGIBLE if self.cell.reported else NOT_REPORTED
        return self._shown(self.cell.paper)

    @property
    def _decimals(self) -> int:
        return decimals(self.cell.points, _averaged(self.cell))

    def _shown(self, share: Share) -> str:
        digits = self._decimals
        low, high = (100 * end for end in share.interval)
        return f"{100 * share.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


@dataclass(frozen=True)
class Summary:
    """How a table compares as a whole.

    Attributes:
        cells: all cells of the table; of these ``compared`` have both values, ``not_run`` none of ours, ``illegible``
            none of the paper's.
        above, below: those outside both samplings.
        mean_difference: of the compared cells' |ours − paper|, in percentage points; None if there are none.
    """

    cells: int
    compared: int
    not_run: int
    illegible: int
    above: int
    below: int
    mean_difference: float | None

    @property
    def within(self) -> int:
        return self.compared - self.above - self.below

    @property
    def text(self) -> str:
        """In one sentence."""
        counted = f"{self.compared} of {self.cells} cells compared"
        left = [
            f"{n} {why}"
            for n, why in ((self.not_run, "not run"), (self.illegible, "without a legible value of the paper"))
            if n
        ]
        counted += f" ({', '.join(left)})" if left else ""
        if self.mean_difference is None:
            return f"{counted}."
        return (
            f"{counted}: {self.within} within sampling, {self.above} above the paper ({ABOVE}) and {self.below} below "
            f"({BELOW}); mean |difference| {self.mean_difference:.1f} points."
        )


@dataclass(frozen=True)
class Comparison:
    """A whole table beside the paper's."""

    title: str
    warnings: list[str]
    panels: list[Panel]
    summary: Summary
    notes: list[str]


def compare(exhibit: Mapping[str, Any], table: Table | None, records: Records) -> Comparison:
    """Sets a table of ours beside the paper's; where there is nothing to compare, a warning says why.

    Args:
        exhibit: its description (:func:`doublemargin.experiment.exhibits.exhibit_spec`).
        table: made from it; None if it shows no accuracies.
        records: ours.
    """
    title = f"Ours beside the paper's: {heading(exhibit['name'])}. {exhibit['caption']}"
    if table is None:
        return Comparison(title, ["Nothing to compare: the table shows no accuracies."], [], summarise([]), [])
    if not exhibit["reported"]:
        return Comparison(title, [nothing_reported(exhibit)], [], summarise([]), [])
    cells, training = used_by({exhibit["name"]: exhibit}, records)
    # The mark of a data set is on all its panels, run or not: the paper's numbers stand in each.
    panels = [
        replace(panel, title=described["title"] + data_mark(cells[cells["dataset"] == panel.dataset]))
        for described, panel in zip(exhibit["panels"], table.panels, strict=True)
    ]
    slowed = [] if all(row.undisturbed for panel in table.panels for row in panel.rows) else [SLOWED]
    return Comparison(
        title,
        warnings(exhibit, cells),
        panels,
        summarise(table.cells),
        [*_rules(table.cells), *slowed, *notes(exhibit, cells, training)],
    )


def nothing_reported(spec: Mapping[str, Any]) -> str:
    """Why there is nothing to compare with, and what to do about it."""
    return (
        f"Nothing to compare: the report of schedule '{spec['schedule']}' has no numbers of the paper; give it a "
        "'reported' file in the config."
    )


def summarise(cells: Sequence[Cell]) -> Summary:
    """Counts the cells of a table."""
    compared = [difference for cell in cells if (difference := Difference(cell)).value is not None]
    total = sum(abs(difference.value) for difference in compared)
    return Summary(
        cells=len(cells),
        compared=len(compared),
        not_run=sum(cell.ours is None for cell in cells),
        illegible=sum(cell.paper is None for cell in cells),
        above=sum(difference.mark == ABOVE for difference in compared),
        below=sum(difference.mark == BELOW for difference in compared),
        mean_difference=100 * (total / len(compared)) if compared else None,
    )


def paper_time(row: Row, printed: bool) -> str:
    """The paper's training time, or why there is none."""
    if row.paper_seconds is None:
        return ILLEGIBLE if printed else NOT_REPORTED
    return f"{row.paper_seconds:.1f}"


def time_ratio(row: Row) -> float | None:
    """Our training time over the paper's; None where it cannot be compared."""
    return row.seconds / row.paper_seconds if row.seconds and row.paper_seconds and row.undisturbed else None


def signed(value: float, digits: int = 1) -> str:
    """``+1.5``, ``−1.5``, ``0.0``."""
    shown = f"{abs(value):.{digits}f}"
    return shown if float(shown) == 0 else f"{'+' if value > 0 else '−'}{shown}"


def _averaged(cell: Cell) -> bool:
    """Whether either value is a mean over several models."""
    return cell.models > 1 or (cell.paper is not None and cell.paper.n > cell.points)


def _rules(cells: Sequence[Cell]) -> list[str]:
    found = [
        "Accuracies in percent with their 95% Wilson intervals; differences (ours less the paper's) in percentage "
        f"points. {ABOVE} and {BELOW}: outside both samplings, that is, the difference's 95% interval for two "
        "independent samples (Newcombe's hybrid score interval; the paper's points are not known to us) leaves out 0. "
        "By sampling alone at most about one cell in twenty would be marked; the cells of a row share points and "
        "model, so marks come in runs. How much two trainings of one model differ is not part of it.",
        f"{NOT_RUN}: not run. '{ILLEGIBLE}': the paper's text is damaged there; nothing is filled in.",
    ]
    if any(map(_averaged, cells)):
        found.append(
            "Means over several models: the interval takes models × points as the number of points. That is a rough "
            "guide, as the models are tested on the same points and err together: the true interval is wider, at most "
            "by the root of the number of models."
        )
    if any(cell.status == "partly" for cell in cells):
        found.append(FEWER)
    return found


def markdown(comparison: Comparison) -> str:
    """GitHub's Markdown, three lines a row: ours, the paper's, the difference."""
    parts = [f"**{words(comparison.title)}**", *(f"> **{words(warning)}**" for warning in comparison.warnings)]
    parts.append(f"**{comparison.summary.text}**")
    for panel in comparison.panels:
        head = _head(panel)
        align = ["left", "left", "left", *["right"] * (len(head) - 3)]
        body = [[words(first), *rest] for row in panel.rows for first, *rest in lines(panel, row)]
        parts += [f"### {words(panel.title)}", grid(head, body, align)]
    return page([*parts, bullets(words(note) for note in comparison.notes)])


def lines(panel: Panel, row: Row) -> list[list[str]]:
    """A row's three lines of text."""
    differences = [Difference(cell) for cell in row.cells]
    ratio = time_ratio(row)
    return [
        [row.label, row.eps, "ours", row.time, *(difference.ours_text for difference in differences)],
        ["", "", "paper", paper_time(row, panel.training_time), *(d.paper_text for d in differences)],
        ["", "", "difference", "" if ratio is None else f"× {ratio:.2g}", *(d.text for d in differences)],
    ]


def comma_separated(comparison: Comparison) -> str:
    """One line a cell, numbers unrounded; shares in [0, 1], empty where there is no value."""
    lines = [
        _line(panel, row, eps, cell)
        for panel in comparison.panels
        for row in panel.rows
        for eps, cell in zip(panel.eps, row.cells, strict=True)
    ]
    return csv_text([_COLUMNS, *lines])


def _line(panel: Panel, row: Row, eps: str, cell: Cell) -> list[Any]:
    difference = Difference(cell)
    shares = [(share.value, *share.interval) if share else (None,) * 3 for share in (cell.ours, cell.paper)]
    return [
        *(panel.title, row.label, row.eps, row.seconds, row.paper_seconds, eps),
        *(cell.points, len(cell.verdicts), *shares[0], *shares[1]),
        *(difference.value, *(difference.interval or (None, None)), bool(difference.mark)),
    ]


_COLUMNS = [
    *("panel", "method", "eps_train", "training_seconds", "paper_training_seconds", "eps_cert", "points", "models"),
    *("accuracy", "wilson_low", "wilson_high", "paper_accuracy", "paper_wilson_low", "paper_wilson_high"),
    *("difference", "difference_low", "difference_high", "outside_both_samplings"),
]


def html(comparison: Comparison) -> str:
    """A page of its own, for the report."""
    return web_page(
        "comparison.html.j2", title=comparison.title, comparison=comparison, head=_head, lines=lines, by_run=by_run
    )


def _head(panel: Panel) -> list[str]:
    return [*HEAD, *(f"ε = {eps}" for eps in panel.eps)]


FORMATS = {".md": markdown, ".csv": comma_separated, ".html": html}
