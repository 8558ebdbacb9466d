"""Kinds of statements about certified accuracies of two networks, tested on the points that both were certified on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from dmcore.eps import Eps
from doublemargin.records.statistics import Share, decimals, difference_interval, newcombe_interval
from doublemargin.report.claims.evidence import Evidence, Finding, Outcome, Pairs, not_run, place
from doublemargin.report.claims.significance import beyond_p, subset_p
from doublemargin.report.paired import differences, paired_interval, paired_p
from doublemargin.report.tables import Cell

MARGIN = 0.05
"""Accuracies that differ by less are comparable: what sampling 200 points alone does to a share of 85%."""
SIGNIFICANCE = 0.05
"""A difference counts where its p is below."""
MIN_DISCORDANT = 6
"""With fewer points that differ no exact test is significant: 2 · 2⁻⁵ > 5%."""


@dataclass(frozen=True)
class PairStatement(ABC):
    """A statement about pairs of cells."""

    pairs: Pairs

    def findings(self, evidence: Evidence) -> list[Finding]:
        return [self._finding(first, second) for first, second in self.pairs.of(evidence.cells)]

    def _finding(self, first: Cell, second: Cell) -> Finding:
        finding = _described(first, second)
        if first.paper and second.paper:
            finding = replace(finding, as_claimed=self.as_claimed(first.paper, second.paper))
        return finding if finding.decided else self.tested(finding, first, second)

    @abstractmethod
    def as_claimed(self, first: Share, second: Share) -> bool | None:
        """Whether two values of the paper are as claimed; None where they say nothing."""

    @abstractmethod
    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        """The finding on two cells that were run, decided or with its p."""


@dataclass(frozen=True)
class Ahead(PairStatement):
    """The first has the higher accuracy. Tested by the exact McNemar test.

    Where so few points differ that it could not be significant, as at floor and ceiling, it says nothing.
    """

    def as_claimed(self, first: Share, second: Share) -> bool | None:
        return None if _no_information(first, second) else first.value - second.value > 0

    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        if finding.wins + finding.losses < MIN_DISCORDANT:
            return replace(finding, decided=Outcome.EMPTY)
        units, _ = differences(first, second)
        total = sum(units)
        return replace(finding, p=paired_p(units), direction=(total > 0) - (total < 0))


@dataclass(frozen=True)
class Comparable(PairStatement):
    """The first is comparable to the second, or better where ``or_better``.

    Holds where the paired difference's 95% interval keeps within the margin, fails where the difference is
    significantly beyond it.
    """

    or_better: bool = False

    def as_claimed(self, first: Share, second: Share) -> bool | None:
        gain = first.value - second.value
        within = gain > -MARGIN and (self.or_better or gain < MARGIN)
        return None if _no_information(first, second) else within

    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        if _no_information(first.ours, second.ours):
            return replace(finding, decided=Outcome.EMPTY)
        low, high = finding.interval
        within = low > -MARGIN and (self.or_better or high < MARGIN)
        units, unit = differences(first, second)
        p = beyond_p([d / unit for d in units], MARGIN, both_sides=not self.or_better)
        return replace(finding, p=p, direction=-1, decided=Outcome.HOLDS if within else None)


@dataclass(frozen=True)
class NeverBelow(PairStatement):
    """No point that the second certifies is missed by the first: a theorem, which one counterexample refutes."""

    def as_claimed(self, first: Share, second: Share) -> bool | None:
        return first.successes >= second.successes

    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        if len(first.verdicts) != len(second.verdicts):
            return replace(finding, missing="some of the models, by one certifier", decided=Outcome.MISSING)
        # Model by model: in a mean one model could hide what another misses.
        counterexamples = sum(
            own == "0" and other == "1"
            for ours, others in zip(first.verdicts, second.verdicts, strict=True)
            for own, other in zip(ours, others, strict=True)
        )
        return replace(finding, losses=counterexamples, decided=Outcome.FAILS if counterexamples else Outcome.HOLDS)


@dataclass(frozen=True)
class Represents(PairStatement):
    """The second, on some points, represents the first, on all of them.

    Holds where the whole set's accuracy lies in the 95% Wilson interval of the sample's, fails where the sample is
    significantly unlike a random one (hypergeometric test).
    """

    def as_claimed(self, first: Share, second: Share) -> bool | None:
        low, high = second.interval
        return None if _no_information(first, second) else low <= first.value <= high

    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        if _no_information(first.ours, second.ours):
            return replace(finding, decided=Outcome.EMPTY)
        low, high = second.ours.interval
        p = subset_p(_count(second), second.points, _count(first), first.points)
        decided = Outcome.HOLDS if low <= first.ours.value <= high else None
        return replace(finding, p=p, direction=-1, decided=decided)


@dataclass(frozen=True)
class Gain:
    """Up to so many points ahead of all others: the best of ``ours`` against the best of all other methods at one ε.

    The paper's number is computed from its table in the same way. Holds where our gain is significantly above 0 and
    not below the paper's by more than the two samplings explain; fails where it is below, or the others are
    significantly ahead.

    Attributes:
        where: which panel.
        at: ε_cert.
        own: the methods that count as ours; baselines count on neither side.
    """

    where: dict[str, str | int]
    at: str
    own: tuple[str, ...]

    def findings(self, evidence: Evidence) -> list[Finding]:
        eps = Eps.parse(self.at).id
        cells = [
            cell
            for row in evidence.rows
            if not row.baseline
            for cell in row.cells
            if cell.eps_cert == eps and all(getattr(cell, key) == value for key, value in self.where.items())
        ]
        own = [cell for cell in cells if cell.method in self.own]
        others = [cell for cell in cells if cell.method not in self.own]
        return [self._finding(own, others)] if own and others else []

    def _finding(self, own: list[Cell], others: list[Cell]) -> Finding:
        theirs = [_best(cells, "paper") for cells in (own, others)]
        ours = [_best(cells, "ours") for cells in (own, others)]
        finding = Finding(
            where=place(own[0]),
            first="best of " + ", ".join(cell.label for cell in own),
            second="best of " + ", ".join(cell.label for cell in others),
            ours=(None, None),
            paper=tuple(cell.paper.value if cell else None for cell in theirs),
            digits=decimals(own[0].points),
            as_claimed=None if None in theirs else theirs[0].paper.value > theirs[1].paper.value,
            remark=_winners("the paper", theirs),
        )
        missing = not_run([*own, *others])
        if missing or None in theirs:
            return replace(finding, missing=missing, decided=Outcome.MISSING if missing else Outcome.OPEN)
        units, unit = differences(*ours)
        shares = [d / unit for d in units]
        interval, p = paired_interval(shares), paired_p(units)
        gain, reported = sum(shares) / len(shares), theirs[0].paper.value - theirs[1].paper.value
        _, reaches = difference_interval(gain, interval, reported, newcombe_interval(theirs[0].paper, theirs[1].paper))
        if reaches < 0 or (gain < 0 and p < SIGNIFICANCE):
            decided = Outcome.FAILS
        else:
            decided = Outcome.HOLDS if gain > 0 and p < SIGNIFICANCE else Outcome.OPEN
        return replace(
            finding,
            ours=tuple(cell.ours.value for cell in ours),
            interval=interval,
            wins=sum(d > 0 for d in units),
            losses=sum(d < 0 for d in units),
            p=p,
            decided=decided,
            remark=f"{finding.remark}; {_winners('ours', ours)}",
        )


def _described(first: Cell, second: Cell) -> Finding:
    """All of a finding that does not depend on the statement; decided if something was not run."""
    differ = [key for key in ("certifier", "points") if getattr(first, key) != getattr(second, key)]

    def name(cell: Cell) -> str:
        return ", ".join([cell.label, *(_said(cell, key) for key in differ)])

    finding = Finding(
        where=place(first),
        first=name(first),
        second=name(second),
        ours=tuple(cell.ours.value if cell.ours else None for cell in (first, second)),
        paper=tuple(cell.paper.value if cell.paper else None for cell in (first, second)),
        digits=decimals(first.points, first.models > 1 or second.models > 1),
    )
    missing = not_run([first, second])
    if not missing and first.data != second.data:
        missing = "both on the same data: one was certified on another copy"
    if missing:
        return replace(finding, missing=missing, decided=Outcome.MISSING)
    if first.points != second.points:
        return finding  # nothing can be paired
    units, unit = differences(first, second)
    return replace(
        finding,
        interval=paired_interval([d / unit for d in units]),
        wins=sum(d > 0 for d in units),
        losses=sum(d < 0 for d in units),
    )


def _said(cell: Cell, key: str) -> str:
    return f"{cell.points} points" if key == "points" else f"certified by {cell.certifier}"


def _no_information(first: Share, second: Share) -> bool:
    """Floor and ceiling: both certify nothing, or everything."""
    return first.value == second.value and first.value in (0, 1)


def _count(cell: Cell) -> int:
    """Certified points; of a mean over models, rounded."""
    return round(cell.ours.value * cell.points)


def _best(cells: list[Cell], side: str) -> Cell | None:
    """The cell with the highest value of one side; None if any is without."""
    shares = [getattr(cell, side) for cell in cells]
    return None if None in shares else max(cells, key=lambda cell: getattr(cell, side).value)


def _winners(whose: str, best: list[Cell | None]) -> str:
    return f"{whose}: " + " against ".join(cell.label if cell else "illegible" for cell in best)
