"""Kinds of statements about training times: pairs of trainings alike in all but the method, on one device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from dmcore.eps import Eps
from doublemargin.records.columns import UNDISTURBED
from doublemargin.report.claims.evidence import Evidence, Finding, Outcome
from doublemargin.report.claims.significance import sign_test_p
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


@dataclass(frozen=True)
class Faster:
    """The first method trains faster than each rival, on each data set.

    Holds where it does in every pair, fails where it is slower in every pair; else the sign test decides. Pairs that
    are level count for neither.
    """

    first: str
    rivals: tuple[str, ...]

    def findings(self, evidence: Evidence) -> list[Finding]:
        found = []
        for rival in self.rivals:
            rows = [row for row in evidence.rows if row.method in (self.first, rival)]
            for dataset in dict.fromkeys(row.dataset for row in rows if row.method == rival):
                found.append(self._finding(rival, dataset, [row for row in rows if row.dataset == dataset]))
        return found

    def _finding(self, rival: str, dataset: str, rows: Sequence[Row]) -> Finding:
        pairs = our_pairs(rows, self.first, rival)
        papers = paper_pairs(rows, self.first, rival)
        up, down = (sum(_sense(pair) == sense for pair in pairs) for sense in (1, -1))
        if not pairs:
            decided = Outcome.MISSING
        elif len(pairs) in (up, down):
            decided = Outcome.HOLDS if up else Outcome.FAILS
        else:
            decided = None
        return Finding(
            where=dataset,
            first=_label(rows, self.first) + (f", median of {len(pairs)}" if len(pairs) > 1 else ""),
            second=_label(rows, rival),
            ours=_medians(pairs),
            paper=_medians(papers),
            unit="s",
            wins=up,
            losses=down,
            p=sign_test_p(up, down) if decided is None else None,
            direction=(up > down) - (up < down),
            decided=decided,
            as_claimed=all(pair.ratio < 1 for pair in papers) if papers else None,
            missing="" if pairs else f"{self.first} and {rival} on {dataset}, undisturbed on one device",
            remark=_exceptions(papers, _label(rows, rival)),
        )


@dataclass(frozen=True)
class TakesLonger:
    """The first method takes so many times as long as the second: holds inside the range, fails clearly outside."""

    first: str
    second: str
    low: float
    high: float

    def findings(self, evidence: Evidence) -> list[Finding]:
        rows = [row for row in evidence.rows if row.method in (self.first, self.second)]
        asked = [row for row in rows if row.method == self.first]
        found = []
        for dataset in dict.fromkeys(row.dataset for row in asked):
            of_dataset = [row for row in rows if row.dataset == dataset]
            pairs = our_pairs(of_dataset, self.first, self.second)
            papers = paper_pairs(of_dataset, self.first, self.second)
            ratio = median(pair.ratio for pair in pairs) if pairs else None
            found.append(
                Finding(
                    where=dataset,
                    first=_label(rows, self.first),
                    second=_label(rows, self.second),
                    ours=_medians(pairs),
                    paper=_medians(papers),
                    unit="s",
                    decided=Outcome.MISSING if ratio is None else self._outcome(ratio),
                    as_claimed=all(self.low <= pair.ratio <= self.high for pair in papers) if papers else None,
                    missing="" if pairs else f"{self.first} and {self.second} on {dataset}, undisturbed on one device",
                )
            )
        return found

    def _outcome(self, ratio: float) -> Outcome:
        if self.low <= ratio <= self.high:
            return Outcome.HOLDS
        near = self.low * (1 - TIME_MARGIN) <= ratio <= self.high * (1 + TIME_MARGIN)
        return Outcome.OPEN if near else Outcome.FAILS


def our_pairs(rows: Sequence[Row], first: str, second: str) -> list[TimePair]:
    """Our trainings of two methods with the same data, network, ε_train and seed, on the same device; each once.

    Only of processes that had a processor for themselves: on a busy machine the others' times say nothing.
    """
    return list(
        dict.fromkeys(
            TimePair(_where(a), mine.seconds, other.seconds)
            for a, b in _alike(rows, first, second)
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
            TimePair(_where(a), a.paper_seconds, b.paper_seconds)
            for a, b in _alike(rows, first, second)
            if a.table == b.table and a.panel == b.panel and a.paper_seconds and b.paper_seconds
        )
    )


def _alike(rows: Sequence[Row], first: str, second: str) -> Iterator[tuple[Row, Row]]:
    for a in rows:
        for b in rows:
            same = (a.dataset, a.arch, a.eps_train) == (b.dataset, b.arch, b.eps_train)
            if a.method == first and b.method == second and same:
                yield a, b


def _sense(pair: TimePair) -> int:
    """1 where the first is clearly faster, −1 where it is clearly slower."""
    return (pair.ratio < 1 - TIME_MARGIN) - (pair.ratio > 1 + TIME_MARGIN)


def _medians(pairs: Sequence[TimePair]) -> tuple[float | None, float | None]:
    """Two numbers whose ratio is the pairs' median ratio: the times of the pair in the middle, or of the upper one."""
    if not pairs:
        return None, None
    ordered = sorted(pairs, key=lambda pair: pair.ratio)
    middle = ordered[len(ordered) // 2]
    return middle.first, middle.second


def _where(row: Row) -> str:
    return f"{row.dataset} {row.arch}, ε_train {Eps.parse(row.eps_train).label}"


def _label(rows: Sequence[Row], method: str) -> str:
    return next(row.label for row in rows if row.method == method)


def _exceptions(pairs: Sequence[TimePair], rival: str) -> str:
    slower = [pair for pair in pairs if pair.ratio >= 1]
    if not slower:
        return f"the paper: faster than {rival} in all of {len(pairs)} pairs" if pairs else ""
    listed = "; ".join(f"{pair.where}: {pair.first:.1f} against {pair.second:.1f} s" for pair in slower)
    return f"the paper: faster than {rival} in {len(pairs) - len(slower)} of {len(pairs)} pairs, not on {listed}"
