"""From tidy records to the pages about a whole schedule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmcore.files import write_text
from doublemargin.records.tidy import Records
from doublemargin.report.claims.page import reach_verdict, write_verdict
from doublemargin.report.overview import Overview, build_overview, write_overview
from doublemargin.report.render import latex


def make_pages(spec: Mapping[str, Any], records: Records, out: Path) -> Overview:
    """Writes the overview, the verdict, and ``tables/all-tables.tex``, whether its tables lie beside it yet or not.

    Args:
        spec: a schedule's report (:func:`doublemargin.experiment.exhibits.report_spec`).
        out: the schedule's folder.
    """
    overview = build_overview(spec, records)
    write_overview(overview, out / "overview")
    write_verdict(reach_verdict(spec, records), out / "verdict")
    write_text(out / "tables/all-tables.tex", latex.document(spec["schedule"], list(spec["tables"])))
    return overview
