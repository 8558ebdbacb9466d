"""From tidy records to the pages about a whole schedule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmcore.files import write_text
from doublemargin.records.tidy import Records
from doublemargin.report import overview as overview_page
from doublemargin.report.claims import page as verdict_page
from doublemargin.report.render import latex
from doublemargin.report.render.templates import write_all


def make_pages(spec: Mapping[str, Any], records: Records, out: Path) -> overview_page.Overview:
    """Writes the overview, the verdict, and ``tables/all-tables.tex``, whether its tables lie beside it yet or not.

    Args:
        spec: a schedule's report (:func:`doublemargin.experiment.exhibits.report_spec`).
        out: the schedule's folder.
    """
    overview = overview_page.build_overview(spec, records)
    write_all(out / "overview", overview, overview_page.FORMATS)
    write_all(out / "verdict", verdict_page.reach_verdict(spec, records), verdict_page.FORMATS)
    write_text(out / "tables/all-tables.tex", latex.document(spec["schedule"], list(spec["tables"])))
    return overview
