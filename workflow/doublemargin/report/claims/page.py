"""The Verdict: every claim with its status, how the tables compare, and what does not fit in the paper itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dmcore.errors import UserError
from doublemargin.experiment.exhibits import accuracy_tables, heading
from doublemargin.files import shipped
from doublemargin.records.columns import REMARKS
from doublemargin.records.tidy import Records
from doublemargin.report.build_table import Lookup
from doublemargin.report.claims.claims import CLAIMS
from doublemargin.report.claims.evidence import Finding, Outcome
from doublemargin.report.claims.judge import RULES, Judged, Status, judge
from doublemargin.report.comparison import ILLEGIBLE, Summary, nothing_reported, signed, summarise
from doublemargin.report.origin import notes, used_by, warnings
from doublemargin.report.render.comma_separated import csv_text
from doublemargin.report.render.markdown import bullets, grid, page
from doublemargin.report.render.templates import web_page
from doublemargin.report.tables import NOT_RUN

TITLE = "Verdict: the paper's claims against our results"
SUMMARY_HEAD = ["Claim", "Where", "Status", *Outcome, "paper's own numbers"]
FINDING_HEAD = [
    *("Where", "First", "Second", "Paper: first", "second", "difference", "Ours: first", "second", "difference"),
    *("b (first better)", "c (second better)", "p", "p (Holm)", "Outcome"),
]
TABLES_HEAD = ["Table", "cells", "compared", "within sampling", "above the paper", "below", "mean |difference|"]


@dataclass(frozen=True)
class Verdict:
    """All that the page shows."""

    warnings: list[str]
    judged: list[Judged]
    tables: dict[str, Summary]
    inconsistencies: list[dict[str, Any]]
    notes: list[str]

    def count(self, status: Status) -> int:
        """How many claims have a status."""
        return sum(judged.status == status for judged in self.judged)

    @property
    def summary(self) -> str:
        """In one sentence."""
        counts = ", ".join(f"{self.count(status)} {status}" for status in Status)
        return f"{len(self.judged)} claims: {counts}."


def reach_verdict(spec: Mapping[str, Any], records: Records) -> Verdict:
    """Judges all claims; none where the report names no ``reported`` cells of the paper, as a warning then says.

    Args:
        spec: a schedule's report (:func:`doublemargin.experiment.exhibits.report_spec`); ``inconsistencies.yaml`` lies
            beside the file of its ``reported`` cells.
        records: the schedule's.
    """
    tables = accuracy_tables(spec["tables"])
    lookup = Lookup.of(records, spec["reported"])
    rows = {name: lookup.rows(table) for name, table in tables.items()}
    # The paper's claims are about its own tables.
    rows = {name: found for name, found in rows.items() if any(cell.reported for row in found for cell in row.cells)}
    evidence = [row for of_table in rows.values() for row in of_table]
    cells, training = used_by(tables, records)
    return Verdict(
        [*([] if spec["reported"] else [nothing_reported(spec)]), *warnings(spec, cells)],
        [judge(claim, evidence) for claim in CLAIMS] if spec["reported"] else [],
        {name: summarise([cell for row in of_table for cell in row.cells]) for name, of_table in rows.items()},
        _inconsistencies(Path(spec["reported"]).with_name(REMARKS)) if spec["reported"] else [],
        notes(spec, cells, training),
    )


def _inconsistencies(path: Path) -> list[dict[str, Any]]:
    """The paper's own: ``title`` and ``text`` of each, and for some a table, ``head`` and ``rows``."""
    try:
        return yaml.safe_load(shipped(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}, which belongs beside the reported cells: {error}") from error


def markdown(verdict: Verdict) -> str:
    """GitHub's Markdown."""
    parts = [f"# {TITLE}", *(f"> **{warning}**" for warning in verdict.warnings)]
    if not verdict.judged:
        return page([*parts, bullets(verdict.notes)])
    parts += [f"**{verdict.summary}**", _grid(SUMMARY_HEAD, [summary_row(judged) for judged in verdict.judged])]
    parts += ["## How a status comes about", bullets(RULES)]
    for judged in verdict.judged:
        claim = judged.claim
        parts += [f"## {claim.title}: {judged.status}", f"> {claim.words} (Section {claim.section})", *said(judged)]
        if judged.findings:
            body = [finding_row(judged, at) for at in range(len(judged.findings))]
            parts.append(_grid(FINDING_HEAD, body))
    parts += ["## Cell by cell", _grid(TABLES_HEAD, [table_row(*item) for item in verdict.tables.items()])]
    parts.append("## What does not fit in the paper itself")
    for found in verdict.inconsistencies:
        parts += [f"### {found['title']}", found["text"]]
        parts += [_grid(found["head"], found["rows"])] if "rows" in found else []
    return page([*parts, bullets(verdict.notes)])


def said(judged: Judged) -> list[str]:
    """The sentences below a claim: how it is read, how far it was run, what the paper's own numbers say."""
    found = [judged.claim.remark] if judged.claim.remark else []
    if judged.missing or not judged.findings:
        found.append(f"{judged.run} of {len(judged.findings)} comparisons were run." + _missing(judged.missing))
    as_claimed, of = judged.paper
    found.append(
        f"In the paper's own tables {as_claimed} of {of} comparisons are as claimed."
        if of
        else "The paper's own numbers are illegible here, or say nothing."
    )
    remarks = dict.fromkeys(f"{f.where}: {f.remark}." for f in judged.findings if f.remark)
    return [*found, *remarks]


def _missing(missing: list[str], shown: int = 6) -> str:
    if not missing:
        return " The report has no such cells."
    more = f"; and {len(missing) - shown} more" if len(missing) > shown else ""
    return f" Not run: {'; '.join(missing[:shown])}{more}."


def summary_row(judged: Judged) -> list[str]:
    """A claim's line in the summary."""
    counts = [str(judged.counts[outcome]) for outcome in Outcome]
    as_claimed, of = judged.paper
    own = f"{as_claimed} of {of} as claimed" if of else NOT_RUN
    return [judged.claim.title, judged.claim.section, judged.status, *counts, own]


def finding_row(judged: Judged, at: int) -> list[str]:
    """One comparison, as text."""
    finding, corrected = judged.findings[at], judged.corrected[at]
    return [
        finding.where,
        finding.first,
        finding.second,
        *(ILLEGIBLE if value is None else _number(value, finding) for value in finding.paper),
        _difference(finding.paper, finding) + ("" if finding.as_claimed in (None, True) else " (not as claimed)"),
        *(NOT_RUN if value is None else _number(value, finding) for value in finding.ours),
        _difference(finding.ours, finding) + _interval(finding),
        *("" if n is None else str(n) for n in (finding.wins, finding.losses)),
        _p(finding.p),
        _p(corrected),
        judged.outcomes[at],
    ]


def table_row(name: str, summary: Summary) -> list[str]:
    """A table's line in the summary of cells."""
    counts = (summary.cells, summary.compared, summary.within, summary.above, summary.below)
    mean = NOT_RUN if summary.mean_difference is None else f"{summary.mean_difference:.1f}"
    return [heading(name), *map(str, counts), mean]


def comma_separated(verdict: Verdict) -> str:
    """One line a comparison, numbers unrounded: shares in [0, 1] or seconds."""
    lines: list[list[Any]] = [_COLUMNS]
    for judged in verdict.judged:
        claim = [judged.claim.name, judged.claim.section, judged.status]
        if not judged.findings:
            lines.append([*claim, *[None] * (len(_COLUMNS) - len(claim))])
        for finding, corrected, outcome in zip(judged.findings, judged.corrected, judged.outcomes, strict=True):
            lines.append(
                [
                    *claim,
                    *(finding.where, finding.first, finding.second, finding.unit),
                    *(*finding.paper, finding.as_claimed),
                    *(*finding.ours, *(finding.interval or (None, None))),
                    *(finding.wins, finding.losses, finding.p, corrected, outcome, finding.missing),
                ]
            )
    return csv_text(lines)


_COLUMNS = [
    *("claim", "section", "status", "where", "first", "second", "unit", "paper_first", "paper_second"),
    *("paper_as_claimed", "ours_first", "ours_second", "difference_low", "difference_high", "b_first_better"),
    *("c_second_better", "p", "p_holm", "outcome", "missing"),
]


def html(verdict: Verdict) -> str:
    """A page of its own, for the report."""
    return web_page(
        "verdict.html.j2",
        title=TITLE,
        verdict=verdict,
        rules=RULES,
        summary_head=SUMMARY_HEAD,
        summary_row=summary_row,
        finding_head=FINDING_HEAD,
        finding_row=finding_row,
        said=said,
        tables_head=TABLES_HEAD,
        table_rows=[table_row(*item) for item in verdict.tables.items()],
    )


FORMATS = {".md": markdown, ".csv": comma_separated, ".html": html}


def _number(value: float, finding: Finding) -> str:
    return f"{100 * value:.{finding.digits}f}" if finding.unit == "%" else f"{value:.1f} s"


def _difference(values: tuple[float | None, float | None], finding: Finding) -> str:
    """In percentage points, or the ratio of two times."""
    first, second = values
    if first is None or second is None:
        return ""
    return signed(100 * (first - second), finding.digits) if finding.unit == "%" else f"× {first / second:.2f}"


def _interval(finding: Finding) -> str:
    if finding.interval is None:
        return ""
    low, high = (signed(100 * end, finding.digits) for end in finding.interval)
    return f" [{low}, {high}]"


def _p(p: float | None) -> str:
    if p is None:
        return ""
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _grid(head: list[str], body: list[list[str]]) -> str:
    safe = [[text.replace("|", "\\|") for text in row] for row in [head, *body]]
    return grid(safe[0], safe[1:])
