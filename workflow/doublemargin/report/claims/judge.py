"""From the findings of a claim to its status."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from doublemargin.report.claims.accuracies import MARGIN, MIN_DISCORDANT, SIGNIFICANCE
from doublemargin.report.claims.claims import TOLERATED_SHARE, Claim
from doublemargin.report.claims.evidence import Finding, Outcome
from doublemargin.report.claims.significance import holm
from doublemargin.report.claims.times import TIME_MARGIN
from doublemargin.report.tables import Row

MIN_SHARE_RUN = 0.5
"""The part of a claim's comparisons that must have been run to judge it."""


class Status(StrEnum):
    """What our results say to a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    UNDECIDED = "undecided"
    NOT_RUN = "not run"


RULES = (
    "Two of our networks are compared on the same test points by the exact McNemar test (means over models: the exact "
    "sign-flip test, of which it is a case), with Holm's correction over all of a claim's comparisons. A comparison "
    f"'holds' if it is significant at {SIGNIFICANCE:.0%} in the claimed direction, 'fails' if it is significant in the "
    f"other, and is 'open' otherwise. Where fewer than {MIN_DISCORDANT} points differ no test could be significant, as "
    "where both networks certify next to nothing, or everything: it carries 'no information' and does not count.",
    "'Comparable' holds if the 95% interval of the paired difference (Bonett and Price) keeps within "
    f"{100 * MARGIN:.0f} points, and fails if the difference is significantly beyond; for 'or better' and 'the "
    "same or higher' the lower side alone counts.",
    "'Up to X points': the best of Double Margin less the best of all other methods; X is computed from the paper's "
    "table in the same way. It holds if our gain is significantly above 0 and not below X by more than both samplings "
    "explain (95% intervals, added in squares), and fails if it is below that.",
    "A theorem holds unless there is a point that contradicts it. A sample of points stands for the whole test set if "
    "the whole set's accuracy lies in the sample's 95% Wilson interval; it fails if it is significantly unlike a "
    "random one (hypergeometric test).",
    "Times are paired on one device only, of processes that had a processor for themselves; pairs within "
    f"{TIME_MARGIN:.0%} are level. 'Faster' holds if all pairs are, "
    "fails if all are slower, and else the sign test decides. A range of ratios holds if the median ratio is inside, "
    f"and fails if it is more than {TIME_MARGIN:.0%} outside.",
    "A claim is reproduced if all its comparisons that carry information hold, and at least half do carry some; not "
    "reproduced if any fails; undecided otherwise. Of a claim that says 'generally' or 'nearly all', "
    f"{TOLERATED_SHARE:.0%} may go otherwise. It is not run if less than {MIN_SHARE_RUN:.0%} of its comparisons were "
    "run, unless what was run refutes it already.",
    "What is tested is the sampling of test points alone. With one training of each network (one seed) nothing is said "
    "of how much two trainings of one method differ: a significant difference may be one of two trainings.",
)
"""How a status comes about, for the reader; in plain text."""


@dataclass(frozen=True)
class Judged:
    """A claim, its findings with Holm's p and outcome each, and its status."""

    claim: Claim
    findings: list[Finding]
    corrected: list[float | None]
    outcomes: list[Outcome]
    status: Status

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(self.outcomes)

    @property
    def run(self) -> int:
        """How many of the comparisons were run."""
        return len(self.outcomes) - self.counts[Outcome.MISSING]

    @property
    def missing(self) -> list[str]:
        """What was not run, each once."""
        return list(dict.fromkeys(part for f in self.findings if f.missing for part in f.missing.split("; ")))

    @property
    def paper(self) -> tuple[int, int]:
        """In how many comparisons the paper's own numbers are as claimed, and of how many that can be said."""
        said = [finding.as_claimed for finding in self.findings if finding.as_claimed is not None]
        return sum(said), len(said)


def judge(claim: Claim, rows: Sequence[Row]) -> Judged:
    """Gathers a claim's findings, from the rows of a report's accuracy tables, and decides."""
    findings = [finding for part in claim.parts for finding in part.findings(rows)]
    ps = iter(holm([finding.p for finding in findings if finding.p is not None]))
    corrected = [None if finding.p is None else next(ps) for finding in findings]
    outcomes = [outcome(finding, p) for finding, p in zip(findings, corrected, strict=True)]
    return Judged(claim, findings, corrected, outcomes, status(outcomes, claim.exceptions))


def outcome(finding: Finding, corrected: float | None) -> Outcome:
    """What a finding says, with its corrected p."""
    if finding.decided is not None:
        return finding.decided
    if corrected is None or corrected >= SIGNIFICANCE or finding.direction == 0:
        return Outcome.OPEN
    return Outcome.HOLDS if finding.direction > 0 else Outcome.FAILS


def status(outcomes: list[Outcome], exceptions: float) -> Status:
    """A claim's status by the last but one of the :data:`RULES`."""
    counts = Counter(outcomes)
    may_fail = math.floor(exceptions * (len(outcomes) - counts[Outcome.EMPTY]))
    if counts[Outcome.FAILS] > may_fail:
        return Status.NOT_REPRODUCED
    run = len(outcomes) - counts[Outcome.MISSING]
    if not outcomes or run < MIN_SHARE_RUN * len(outcomes):
        return Status.NOT_RUN
    telling = run - counts[Outcome.EMPTY]
    enough = telling >= MIN_SHARE_RUN * run and telling > 0
    if enough and counts[Outcome.HOLDS] >= telling - math.floor(exceptions * telling):
        return Status.REPRODUCED
    return Status.UNDECIDED
