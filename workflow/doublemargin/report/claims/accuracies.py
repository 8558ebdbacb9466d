"""Kinds of statements about certified accuracies of two networks, tested on the points that both were certified on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from dmcore.eps import Eps
from doublemargin.records.statistics import Share, decimals, difference_interval, newcombe_interval
from doublemargin.report.claims.evidence import Evidence, Finding, Outcome, Pairs, not_run, place
from doublemargin.report.claims.significance import beyond_p, paired_interval, paired_p, subset_p
from doublemargin.report.tables import Cell

COMPARABLE = 0.05
"""Accuracies that differ by less are comparable: what sampling 200 points alone does to a share of 85%."""
LEVEL = 0.05
"""Of significance."""
MIN_DISCORDANT = 6
"""With fewer points that differ no exact test is significant: 2 · 2⁻⁵ > 5%."""


@dataclass(frozen=True)
class Ahead:
    """The first has the higher accuracy. Tested by the exact McNemar test.

    Where so few points differ that it could not be significant, as at floor and ceiling, it says nothing.
    """

    pairs: Pairs

    def findings(self, evidence: Evidence) -> list[Finding]:
        return [self._finding(first, second) for first, second in self.pairs.of(evidence.cells)]

    def _finding(self, first: Cell, second: Cell) -> Finding:
        finding = _described(first, second)
        if first.paper and second.paper:
            gain = first.paper.value - second.paper.value
            finding = replace(finding, as_claimed=None if _no_information(first.paper, second.paper) else gain > 0)
        if finding.decided:
            return finding
        if finding.wins + finding.losses < MIN_DISCORDANT:
            return replace(finding, decided=Outcome.EMPTY)
        units, _ = differences(first, second)
        total = sum(units)
        return replace(finding, p=paired_p(units), direction=(total > 0) - (total < 0))


@dataclass(frozen=True)
class Comparable:
    """The first is comparable to the second, or better where ``or_better``.

    Holds where the paired difference's 95% interval keeps within the margin, fails where the difference is
    significantly beyond it.
    """

    pairs: Pairs
    or_better: bool = False

    def findings(self, evidence: Evidence) -> list[Finding]:
        return [self._finding(first, second) for first, second in self.pairs.of(evidence.cells)]

    def _finding(self, first: Cell, second: Cell) -> Finding:
        finding = _described(first, second)
        if first.paper and second.paper:
            gain = first.paper.value - second.paper.value
            as_claimed = gain > -COMPARABLE and (self.or_better or gain < COMPARABLE)
            as_claimed = None if _no_information(first.paper, second.paper) else as_claimed
            finding = replace(finding, as_claimed=as_claimed)
        if finding.decided:
            return finding
        if _no_information(first.ours, second.ours):
            return replace(finding, decided=Outcome.EMPTY)
        low, high = finding.interval
        inside = low > -COMPARABLE and (self.or_better or high < COMPARABLE)
        units, unit = differences(first, second)
        p = beyond_p([d / unit for d in units], COMPARABLE, both_sides=not self.or_better)
        return replace(finding, p=p, direction=-1, decided=Outcome.HOLDS if inside else None)


@dataclass(frozen=True)
class NeverBelow:
    """No point that the second certifies is missed by the first: a theorem, which one counterexample refutes."""

    pairs: Pairs

    def findings(self, evidence: Evidence) -> list[Finding]:
        return [self._finding(first, second) for first, second in self.pairs.of(evidence.cells)]

    def _finding(self, first: Cell, second: Cell) -> Finding:
        finding = _described(first, second)
        if first.paper and second.paper:
            finding = replace(finding, as_claimed=first.paper.successes >= second.paper.successes)
        if finding.decided:
            return finding
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
class Represents:
    """The second, on some points, represents the first, on all of them.

    Holds where the whole set's accuracy lies in the 95% Wilson interval of the sample's, fails where the sample is
    significantly unlike a random one (hypergeometric test).
    """

    pairs: Pairs

    def findings(self, evidence: Evidence) -> list[Finding]:
        return [self._finding(whole, sample) for whole, sample in self.pairs.of(evidence.cells)]

    def _finding(self, whole: Cell, sample: Cell) -> Finding:
        finding = replace(_described(whole, sample, paired=False), digits=decimals(whole.points))
        if whole.paper and sample.paper:
            low, high = sample.paper.interval
            inside = None if _no_information(whole.paper, sample.paper) else low <= whole.paper.value <= high
            finding = replace(finding, as_claimed=inside)
        if finding.decided:
            return finding
        if _no_information(whole.ours, sample.ours):
            return replace(finding, decided=Outcome.EMPTY)
        low, high = sample.ours.interval
        p = subset_p(_count(sample), sample.points, _count(whole), whole.points)
        decided = Outcome.HOLDS if low <= whole.ours.value <= high else None
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
        if reaches < 0 or (gain < 0 and p < LEVEL):
            decided = Outcome.FAILS
        else:
            decided = Outcome.HOLDS if gain > 0 and p < LEVEL else Outcome.OPEN
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


def differences(first: Cell, second: Cell) -> tuple[list[int], int]:
    """Each point's difference of two cells on the same points, in whole units, and how many units make 1.

    Means over several models differ by parts: with one model and three the unit is a third.
    """
    unit = math.lcm(len(first.verdicts), len(second.verdicts))

    def sums(cell: Cell) -> list[int]:
        return [column.count("1") * unit // len(cell.verdicts) for column in zip(*cell.verdicts, strict=True)]

    return [a - b for a, b in zip(sums(first), sums(second), strict=True)], unit


def _described(first: Cell, second: Cell, paired: bool = True) -> Finding:
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
    if not paired:
        return finding
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
