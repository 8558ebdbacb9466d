"""A table of ours beside the paper's: each cell's two values, their difference, and whether sampling explains it.

A difference is *outside both samplings* if the 95% interval of the difference of two independent samples, Newcombe's
hybrid score interval, does not contain 0. The paper's test points are not known, so nothing can be paired. Newcombe's
interval adds the arms of the two Wilson intervals in squares, so that then neither value lies in the other's interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dmcore.eps import Eps, labels
from doublemargin.experiment.exhibits import heading
from doublemargin.records.columns import UNDISTURBED
from doublemargin.records.statistics import Share, decimals, newcombe_interval
from doublemargin.records.tidy import Records
from doublemargin.report.origin import data_mark, notes, used_by, warnings
from doublemargin.report.paper_comparison import ComparedCell, ComparedRow, PaperComparison
from doublemargin.report.tables import NOT_RUN, PARTLY, ROUGHLY, SLOWED

ILLEGIBLE = "illegible"
NOT_REPORTED = "not printed"
ABOVE, BELOW = "▲", "▼"


@dataclass(frozen=True)
class Pair:
    """One cell, ours and the paper's."""

    cell: ComparedCell

    @property
    def compared(self) -> bool:
        """Whether there are both values."""
        return self.cell.ours is not None and self.cell.paper is not None

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, as a share."""
        return self.cell.ours.value - self.cell.paper.value if self.compared else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The difference's 95% interval."""
        return newcombe_interval(self.cell.ours, self.cell.paper) if self.compared else None

    @property
    def mark(self) -> str:
        """Up or down where the difference is outside both samplings, else nothing."""
        if self.interval is None or self.interval[0] <= 0 <= self.interval[1]:
            return ""
        return ABOVE if self.interval[0] > 0 else BELOW

    @property
    def ours_text(self) -> str:
        """``66.5 [59.7, 72.7]``, with a dagger where models are missing from a mean, or a dash."""
        if self.cell.ours is None:
            return NOT_RUN
        return self._shown(self.cell.ours) + (PARTLY if len(self.cell.verdicts) < self.cell.models else "")

    @property
    def paper_text(self) -> str:
        """As :attr:`ours_text`, or why there is none."""
        if self.cell.paper is None:
            return ILLEGIBLE if self.cell.reported else NOT_REPORTED
        return self._shown(self.cell.paper)

    @property
    def difference_text(self) -> str:
        """``−12.5 ▼``, in percentage points."""
        if self.difference is None:
            return ""
        return f"{signed(100 * self.difference, self._decimals)} {self.mark}".rstrip()

    @property
    def _decimals(self) -> int:
        several = self.cell.models > 1 or (self.cell.paper is not None and self.cell.paper.n > self.cell.points)
        return decimals(self.cell.points, several)

    def _shown(self, share: Share) -> str:
        digits = self._decimals
        low, high = (100 * end for end in share.interval)
        return f"{100 * share.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


@dataclass(frozen=True)
class Line:
    """A row of the table: a method at one ε_train, its times and its cells.

    Attributes:
        undisturbed: whether our trainings had a processor for themselves; else their time is compared with no other.
    """

    label: str
    eps_train: str
    baseline: bool
    seconds: float | None
    paper_seconds: float | None
    time_printed: bool
    pairs: tuple[Pair, ...]
    undisturbed: bool = True

    @property
    def time_text(self) -> str:
        """Our training time; marked where others may have slowed it down."""
        return NOT_RUN if self.seconds is None else f"{self.seconds:.1f}" + ("" if self.undisturbed else ROUGHLY)

    @property
    def paper_time_text(self) -> str:
        """The paper's training time, or why there is none."""
        if self.paper_seconds is None:
            return ILLEGIBLE if self.time_printed else NOT_REPORTED
        return f"{self.paper_seconds:.1f}"

    @property
    def ratio(self) -> float | None:
        """Our training time over the paper's."""
        return self.seconds / self.paper_seconds if self.seconds and self.paper_seconds and self.undisturbed else None


@dataclass(frozen=True)
class Panel:
    """One block of the table."""

    title: str
    eps: list[str]
    lines: list[Line]


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

    name: str
    caption: str
    warnings: list[str]
    panels: list[Panel]
    summary: Summary
    notes: list[str]

    @property
    def title(self) -> str:
        return f"Ours beside the paper's: {heading(self.name)}. {self.caption}"


def compare(exhibit: Mapping[str, Any], records: Records, beside: PaperComparison) -> Comparison:
    """Sets a table of ours beside the paper's.

    Args:
        exhibit: a resolved accuracy table (:func:`doublemargin.experiment.exhibits.exhibit_spec`).
        records: ours.
        beside: these and the paper's cells, indexed.
    """
    cells, training = used_by({exhibit["name"]: exhibit}, records)
    rows = list(beside.panels(exhibit))
    panels = [
        Panel(
            panel["title"] + data_mark(cells[cells["dataset"] == panel["dataset"]]),
            labels(panel["eps_cert"]),
            [_line(row, panel["training_time"]) for row in block],
        )
        for panel, block in zip(exhibit["panels"], rows, strict=True)
    ]
    lines = [line for panel in panels for line in panel.lines]
    pairs = [pair for line in lines for pair in line.pairs]
    slowed = [] if all(line.undisturbed for line in lines) else [SLOWED]
    return Comparison(
        exhibit["name"],
        exhibit["caption"],
        warnings(exhibit, cells),
        panels,
        summarise(pairs),
        [*_rules(pairs), *slowed, *notes(exhibit, cells, training)],
    )


def summarise(pairs: list[Pair]) -> Summary:
    """Counts the cells of a table."""
    compared = [pair for pair in pairs if pair.compared]
    mean = sum(abs(pair.difference) for pair in compared) / len(compared) if compared else None
    return Summary(
        cells=len(pairs),
        compared=len(compared),
        not_run=sum(pair.cell.ours is None for pair in pairs),
        illegible=sum(pair.cell.paper is None for pair in pairs),
        above=sum(pair.mark == ABOVE for pair in compared),
        below=sum(pair.mark == BELOW for pair in compared),
        mean_difference=None if mean is None else 100 * mean,
    )


def signed(value: float, digits: int = 1) -> str:
    """``+1.5``, ``−1.5``, ``0.0``."""
    shown = f"{abs(value):.{digits}f}"
    return shown if float(shown) == 0 else f"{'+' if value > 0 else '−'}{shown}"


def _line(row: ComparedRow, time_printed: bool) -> Line:
    seconds = [timing.seconds for timing in row.timings]
    eps = "" if row.eps_train == "none" else Eps.parse(row.eps_train).label
    mean = sum(seconds) / len(seconds) if seconds else None
    pairs = tuple(Pair(cell) for cell in row.cells)
    undisturbed = all(timing.timing == UNDISTURBED for timing in row.timings)
    return Line(row.label, eps, row.baseline, mean, row.paper_seconds, time_printed, pairs, undisturbed)


def _rules(pairs: list[Pair]) -> list[str]:
    found = [
        "Accuracies in percent with their 95% Wilson intervals; differences (ours less the paper's) in percentage "
        f"points. {ABOVE} and {BELOW}: outside both samplings, that is, the difference's 95% interval for two "
        "independent samples (Newcombe's hybrid score interval; the paper's points are not known to us) leaves out 0. "
        "By sampling alone at most about one cell in twenty would be marked; the cells of a row share points and "
        "model, so marks come in runs. How much two trainings of one model differ is not part of it.",
        f"{NOT_RUN}: not run. '{ILLEGIBLE}': the paper's text is damaged there; nothing is filled in.",
    ]
    if any(pair.cell.models > 1 or (pair.cell.paper and pair.cell.paper.n > pair.cell.points) for pair in pairs):
        found.append(
            "Means over several models: the interval takes models × points as the number of points. That is a rough "
            "guide, as the models are tested on the same points and err together: the true interval is wider, at most "
            f"by the root of the number of models. {PARTLY}: the mean of fewer models than it is to be."
        )
    return found
