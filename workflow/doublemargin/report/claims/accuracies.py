"""Kinds of statements about certified accuracies of two networks, tested on the points that both were certified on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from fractions import Fraction
from typing import Any

from dmcore.eps import Eps
from doublemargin.records.statistics import Share, decimals, difference_interval, newcombe_interval
from doublemargin.report.claims.evidence import Finding, Outcome, not_run, place
from doublemargin.report.claims.significance import beyond_p, subset_p
from doublemargin.report.paired import differences, paired_interval, paired_p
from doublemargin.report.tables import Cell, Row

MARGIN = 0.05
"""Accuracies that differ by less are comparable: what sampling 200 points alone does to a share of 85%."""
SIGNIFICANCE = 0.05
"""A difference counts where its p is below."""
MIN_DISCORDANT = 6
"""With fewer points that differ no exact test is significant: 2 · 2⁻⁵ > 5%."""

KEYS = ("table", "dataset", "arch", "certifier", "norm", "points", "method", "eps_train", "eps_cert")
"""What a cell is of."""


@dataclass(frozen=True)
class Pairs(ABC):
    """A statement about pairs of cells, alike in all but what ``first`` and ``second`` name.

    Attributes:
        first, second, where: values of :data:`KEYS` that the first, the second, or both have.
        above, least, only: ε_cert above an ε, from it on, or that one alone; every ε_cert where none is given.
        largest: at the largest of these alone, on each data set, network and the like.
        trained: at the ε that both were trained at.
        free: keys in which the two may differ all the same.
    """

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    where: Mapping[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    above: str | None = None
    least: str | None = None
    only: str | None = None
    largest: bool = False
    trained: bool = False
    free: tuple[str, ...] = ()

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """One for each pair."""
        return [self._finding(*pair) for pair in self.pairs([cell for row in rows for cell in row.cells])]

    def pairs(self, cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
        """The pairs, in the order of the first cells."""
        shared = [key for key in KEYS if key not in {*self.first, *self.second, *self.free}]
        seconds: dict[tuple[Any, ...], list[Cell]] = {}
        for cell in self._among(cells, self.second):
            seconds.setdefault(_values(cell, shared), []).append(cell)
        found = [
            (cell, other) for cell in self._among(cells, self.first) for other in seconds.get(_values(cell, shared), ())
        ]
        if not self.largest:
            return found
        shared.remove("eps_cert")
        top: dict[tuple[Any, ...], Fraction] = {}
        for cell, _ in found:
            key, eps = _values(cell, shared), _radius(cell.eps_cert)
            top[key] = max(top.get(key, eps), eps)
        return [pair for pair in found if _radius(pair[0].eps_cert) == top[_values(pair[0], shared)]]

    def _among(self, cells: Sequence[Cell], side: Mapping[str, Any]) -> Iterator[Cell]:
        wanted = {**self.where, **side}
        for cell in cells:
            eps = _radius(cell.eps_cert)
            if (
                all(getattr(cell, key) == value for key, value in wanted.items())
                and (self.above is None or eps > _radius(self.above))
                and (self.least is None or eps >= _radius(self.least))
                and (self.only is None or eps == _radius(self.only))
                and (not self.trained or cell.eps_cert == cell.eps_train)
            ):
                yield cell

    def _finding(self, first: Cell, second: Cell) -> Finding:
        differ = [key for key in ("certifier", "points") if getattr(first, key) != getattr(second, key)]
        finding = Finding(
            where=place(first),
            first=_name(first, differ),
            second=_name(second, differ),
            ours=tuple(cell.ours.value if cell.ours else None for cell in (first, second)),
            paper=tuple(cell.paper.value if cell.paper else None for cell in (first, second)),
            digits=decimals(first.points, first.models > 1 or second.models > 1),
            as_claimed=self.as_claimed(first.paper, second.paper) if first.paper and second.paper else None,
        )
        missing = not_run([first, second])
        if not missing and first.data != second.data:
            missing = "both on the same data: one was certified on another copy"
        if missing:
            return replace(finding, missing=missing, decided=Outcome.MISSING)
        if first.points == second.points:
            finding = replace(finding, **_paired(first, second))
        return self.tested(finding, first, second)

    @abstractmethod
    def as_claimed(self, first: Share, second: Share) -> bool | None:
        """Whether two values of the paper are as claimed; None where they say nothing."""

    @abstractmethod
    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        """The finding on two cells that were run, decided or with its p."""


@dataclass(frozen=True)
class Ahead(Pairs):
    """The first has the higher accuracy. Tested by the exact McNemar test.

    Where so few points differ that it could not be significant, as at floor and ceiling, it says nothing.
    """

    def as_claimed(self, first: Share, second: Share) -> bool | None:
        return None if _no_information(first, second) else first.value > second.value

    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        if finding.wins + finding.losses < MIN_DISCORDANT:
            return replace(finding, decided=Outcome.EMPTY)
        units, _ = differences(first, second)
        total = sum(units)
        return replace(finding, p=paired_p(units), direction=(total > 0) - (total < 0))


@dataclass(frozen=True)
class Comparable(Pairs):
    """The first is comparable to the second, or better where ``or_better``.

    Holds where the paired difference's 95% interval keeps within the margin, fails where the difference is
    significantly beyond it.
    """

    or_better: bool = False

    def as_claimed(self, first: Share, second: Share) -> bool | None:
        gain = first.value - second.value
        return None if _no_information(first, second) else self._within(gain, gain)

    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        if _no_information(first.ours, second.ours):
            return replace(finding, decided=Outcome.EMPTY)
        units, unit = differences(first, second)
        p = beyond_p([d / unit for d in units], MARGIN, both_sides=not self.or_better)
        decided = Outcome.HOLDS if self._within(*finding.interval) else None
        return replace(finding, p=p, direction=-1, decided=decided)

    def _within(self, low: float, high: float) -> bool:
        return low > -MARGIN and (self.or_better or high < MARGIN)


@dataclass(frozen=True)
class NeverBelow(Pairs):
    """No point that the second certifies is missed by the first: a theorem, which one counterexample refutes."""

    def as_claimed(self, first: Share, second: Share) -> bool | None:
        return first.successes >= second.successes

    def tested(self, finding: Finding, first: Cell, second: Cell) -> Finding:
        if len(first.verdicts) != len(second.verdicts):
            return replace(finding, missing="some of the models, by one certifier", decided=Outcome.MISSING)
        # Model by model: in a mean one model could hide what another misses.
        points = zip("".join(first.verdicts), "".join(second.verdicts), strict=True)
        counterexamples = sum(pair == ("0", "1") for pair in points)
        return replace(finding, losses=counterexamples, decided=Outcome.FAILS if counterexamples else Outcome.HOLDS)


@dataclass(frozen=True)
class Represents(Pairs):
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
        whole, sample = (round(cell.ours.value * cell.points) for cell in (first, second))
        decided = Outcome.HOLDS if self.as_claimed(first.ours, second.ours) else None
        return replace(finding, p=subset_p(sample, second.points, whole, first.points), direction=-1, decided=decided)


@dataclass(frozen=True)
class Gain:
    """Up to so many points ahead of all others: the best of ``own`` against the best of all other methods at one ε.

    The paper's number is computed from its table in the same way. Holds where our gain is significantly above 0 and
    not below the paper's by more than the two samplings explain; fails where it is below, or the others are
    significantly ahead.

    Attributes:
        where: which panel.
        at: ε_cert.
        own: the methods that count as ours; baselines count on neither side.
    """

    where: Mapping[str, Any]
    at: str
    own: tuple[str, ...]

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """One, or none where the tables lack a side."""
        wanted = {**self.where, "eps_cert": Eps.parse(self.at).id}
        cells = [
            cell
            for row in rows
            if not row.baseline
            for cell in row.cells
            if all(getattr(cell, key) == value for key, value in wanted.items())
        ]
        own = [cell for cell in cells if cell.method in self.own]
        others = [cell for cell in cells if cell.method not in self.own]
        return [_gain(own, others)] if own and others else []


def _gain(own: list[Cell], others: list[Cell]) -> Finding:
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
    paired, p = _paired(*ours), paired_p(differences(*ours)[0])
    gain, reported = ours[0].ours.value - ours[1].ours.value, theirs[0].paper.value - theirs[1].paper.value
    papers_interval = newcombe_interval(theirs[0].paper, theirs[1].paper)
    _, reaches = difference_interval(gain, paired["interval"], reported, papers_interval)
    decided = Outcome.HOLDS if gain > 0 and p < SIGNIFICANCE else Outcome.OPEN
    if reaches < 0 or (gain < 0 and p < SIGNIFICANCE):
        decided = Outcome.FAILS
    remark = f"{finding.remark}; {_winners('ours', ours)}"
    values = tuple(cell.ours.value for cell in ours)
    return replace(finding, ours=values, **paired, p=p, decided=decided, remark=remark)


def _paired(first: Cell, second: Cell) -> dict[str, Any]:
    """What a finding says of two cells point by point."""
    units, unit = differences(first, second)
    wins, losses = sum(d > 0 for d in units), sum(d < 0 for d in units)
    return {"interval": paired_interval([d / unit for d in units]), "wins": wins, "losses": losses}


def _radius(eps: str) -> Fraction:
    return Eps.parse(eps).value


def _values(cell: Cell, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(getattr(cell, key) for key in keys)


def _name(cell: Cell, differ: Sequence[str]) -> str:
    """The cell's method, with what the two of a pair differ in besides."""
    said = {"certifier": f"certified by {cell.certifier}", "points": f"{cell.points} points"}
    return ", ".join([cell.label, *(said[key] for key in differ)])


def _no_information(first: Share, second: Share) -> bool:
    """Floor and ceiling: both certify nothing, or everything."""
    return first.value == second.value and first.value in (0, 1)


def _best(cells: list[Cell], side: str) -> Cell | None:
    """The cell with the highest value of one side; None if any is without."""
    shares = [getattr(cell, side) for cell in cells]
    return None if None in shares else max(cells, key=lambda cell: getattr(cell, side).value)


def _winners(whose: str, best: list[Cell | None]) -> str:
    return f"{whose}: " + " against ".join(cell.label if cell else "illegible" for cell in best)
