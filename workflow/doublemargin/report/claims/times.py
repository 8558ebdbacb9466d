"""Kinds of statements about training times: pairs of trainings alike in all but the method, on one device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from dmcore.eps import Eps
from doublemargin.records.columns import UNDISTURBED
from doublemargin.report.claims.evidence import Finding, Outcome
from doublemargin.report.paired import paired_p
from doublemargin.report.tables import Row

TIME_MARGIN = 0.05
"""Times that differ by less count as level; like trainings scatter by more."""


@dataclass(frozen=True)
class TimePair:
    """Two trainings: seconds of the first and of the second method, and what they were of."""

    where: str
    first: float
    second: float

    @property
    def ratio(self) -> float:
        return self.first / self.second

    @property
    def sense(self) -> int:
        """1 where the first is clearly faster, −1 where it is clearly slower."""
        return (self.ratio < 1 - TIME_MARGIN) - (self.ratio > 1 + TIME_MARGIN)


@dataclass(frozen=True)
class Times:
    """How long a method trains beside each of some rivals, on each data set that both have.

    It is faster: holds where it is in every pair, fails where it is slower in every pair; else the sign test decides.
    Pairs that are level count for neither. Or it ``takes`` so many times as long: holds where the median ratio is
    inside that range, fails where it is clearly outside.
    """

    first: str
    rivals: tuple[str, ...]
    takes: tuple[float, float] | None = None

    def findings(self, rows: Sequence[Row]) -> list[Finding]:
        """One for each rival and data set."""
        found = []
        for rival in self.rivals:
            ours, theirs = ({row.dataset: None for row in rows if row.method == name} for name in (self.first, rival))
            for dataset in (dataset for dataset in theirs if dataset in ours):
                found.append(self._finding(rival, [row for row in rows if row.dataset == dataset]))
        return found

    def _finding(self, rival: str, rows: Sequence[Row]) -> Finding:
        pairs, papers = our_pairs(rows, self.first, rival), paper_pairs(rows, self.first, rival)
        dataset, labels = rows[0].dataset, {row.method: row.label for row in reversed(rows)}
        finding = Finding(
            where=dataset,
            first=labels[self.first],
            second=labels[rival],
            ours=_medians(pairs),
            paper=_medians(papers),
            unit="s",
            decided=None if pairs else Outcome.MISSING,
            as_claimed=all(map(self._as_claimed, papers)) if papers else None,
            missing="" if pairs else f"{self.first} and {rival} on {dataset}, undisturbed on one device",
        )
        return self._longer(finding, pairs) if self.takes else _faster(finding, pairs, papers)

    def _as_claimed(self, pair: TimePair) -> bool:
        return self.takes[0] <= pair.ratio <= self.takes[1] if self.takes else pair.ratio < 1

    def _longer(self, finding: Finding, pairs: Sequence[TimePair]) -> Finding:
        if not pairs:
            return finding
        (low, high), ratio = self.takes, median(pair.ratio for pair in pairs)
        if low <= ratio <= high:
            return replace(finding, decided=Outcome.HOLDS)
        near = low * (1 - TIME_MARGIN) <= ratio <= high * (1 + TIME_MARGIN)
        return replace(finding, decided=Outcome.OPEN if near else Outcome.FAILS)


def _faster(finding: Finding, pairs: Sequence[TimePair], papers: Sequence[TimePair]) -> Finding:
    up, down = (sum(pair.sense == sense for pair in pairs) for sense in (1, -1))
    counted = replace(
        finding,
        first=finding.first + (f", median of {len(pairs)}" if len(pairs) > 1 else ""),
        wins=up,
        losses=down,
        direction=(up > down) - (up < down),
        remark=_exceptions(papers, finding.second),
    )
    if not pairs:
        return counted
    if len(pairs) in (up, down):
        return replace(counted, decided=Outcome.HOLDS if up else Outcome.FAILS)
    return replace(counted, p=paired_p([1] * up + [-1] * down))  # of signs, the sign test


def our_pairs(rows: Sequence[Row], first: str, second: str) -> list[TimePair]:
    """Our trainings of two methods with the same data, network, ε_train and seed, on the same device; each once.

    Only of processes that had a processor for themselves: on a busy machine the others' times say nothing.
    """
    return list(
        dict.fromkeys(
            TimePair(where, mine.seconds, other.seconds)
            for where, a, b in _alike(rows, first, second)
            for mine in a.timings
            for other in b.timings
            if (mine.seed, mine.device, mine.threads) == (other.seed, other.device, other.threads)
            and mine.timing == other.timing == UNDISTURBED
        )
    )


def paper_pairs(rows: Sequence[Row], first: str, second: str) -> list[TimePair]:
    """The paper's times of two methods in one block of a table; a pair that several tables print counts once."""
    return list(
        dict.fromkeys(
            TimePair(where, a.paper_seconds, b.paper_seconds)
            for where, a, b in _alike(rows, first, second)
            if a.table == b.table and a.panel == b.panel and a.paper_seconds and b.paper_seconds
        )
    )


def _alike(rows: Sequence[Row], first: str, second: str) -> Iterator[tuple[str, Row, Row]]:
    """Rows of two methods that are alike otherwise, and of what they are."""
    for a in rows:
        for b in rows:
            same = (a.dataset, a.arch, a.eps_train) == (b.dataset, b.arch, b.eps_train)
            if a.method == first and b.method == second and same:
                yield f"{a.dataset} {a.arch}, ε_train {Eps.parse(a.eps_train).label}", a, b


def _medians(pairs: Sequence[TimePair]) -> tuple[float | None, float | None]:
    """Two numbers whose ratio is the pairs' median ratio: the times of the pair in the middle, or of the upper one."""
    if not pairs:
        return None, None
    middle = sorted(pairs, key=lambda pair: pair.ratio)[len(pairs) // 2]
    return middle.first, middle.second


def _exceptions(pairs: Sequence[TimePair], rival: str) -> str:
    slower = [pair for pair in pairs if pair.ratio >= 1]
    if not slower:
        return f"the paper: faster than {rival} in all of {len(pairs)} pairs" if pairs else ""
    listed = "; ".join(f"{pair.where}: {pair.first:.1f} against {pair.second:.1f} s" for pair in slower)
    return f"the paper: faster than {rival} in {len(pairs) - len(slower)} of {len(pairs)} pairs, not on {listed}"
