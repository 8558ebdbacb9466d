"""From tidy records to files: every kind of exhibit, and the whole report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dmcore.errors import UserError, nearest
from dmcore.files import write_text
from doublemargin.experiment.exhibits import accuracy_tables, report_spec
from doublemargin.experiment.grid import Grid
from doublemargin.records.columns import FILES
from doublemargin.records.tidy import Records, collect, merge, read_records, write_records
from doublemargin.report.comparison import compare
from doublemargin.report.cost import cost_table
from doublemargin.report.figures import curves, margins, relu_bounds
from doublemargin.report.one_page import Part, part_of, write_one_page
from doublemargin.report.overview import Overview, build_overview
from doublemargin.report.paper_comparison import PaperComparison
from doublemargin.report.render import latex
from doublemargin.report.render.formats import write_table, write_text_table
from doublemargin.report.render_comparison import write_comparison
from doublemargin.report.render_overview import write_overview
from doublemargin.report.tables import build_table
from doublemargin.report.text_tables import read_text_table

Exhibit = Mapping[str, Any]
"""A table or figure as :func:`doublemargin.experiment.exhibits.exhibit_spec` resolves it."""


def _accuracies(exhibit: Exhibit, records: Records, stem: Path) -> None:
    write_table(build_table(exhibit, records), stem)


def _text(exhibit: Exhibit, records: Records, stem: Path) -> None:
    write_text_table(read_text_table(exhibit), stem)


def _cost(exhibit: Exhibit, records: Records, stem: Path) -> None:
    write_text_table(cost_table(exhibit, records), stem)


TABLES: dict[str, Callable[[Exhibit, Records, Path], None]] = {"accuracies": _accuracies, "text": _text, "cost": _cost}
FIGURES: dict[str, Callable[[Exhibit, Records, Path], None]] = {
    "curves": curves.write,
    "margins": margins.write,
    "relu_bounds": relu_bounds.write,
}


def make_tables(exhibits: Mapping[str, Exhibit], records: Records, out: Path) -> None:
    """Writes tables, each as Markdown, text, LaTeX, CSV and HTML."""
    for name, exhibit in exhibits.items():
        TABLES[exhibit["kind"]](exhibit, records, out / name)


def make_document(schedule: str, tables: Sequence[str], out: Path) -> None:
    """Writes ``all-tables.tex``, a LaTeX document of the tables that lie beside it, whether they do yet or not."""
    write_text(out / "all-tables.tex", latex.document(schedule, tables))


def make_figures(exhibits: Mapping[str, Exhibit], records: Records, out: Path) -> None:
    """Writes figures, each as PNG, SVG and PDF."""
    for name, exhibit in exhibits.items():
        FIGURES[exhibit["kind"]](exhibit, records, out / name)


def make_comparisons(exhibits: Mapping[str, Exhibit], records: Records, out: Path) -> None:
    """Writes accuracy tables of ours beside the paper's, each as Markdown, CSV and HTML; other tables are passed over.

    Raises:
        UserError: a table's report names no ``reported`` cells.
    """
    tables = accuracy_tables(exhibits)
    beside = {path: PaperComparison.of(records, path) for path in {_reported(table) for table in tables.values()}}
    for name, table in tables.items():
        write_comparison(compare(table, records, beside[_reported(table)]), out / name)


def make_verdict(spec: Mapping[str, Any], records: Records, out: Path) -> None:
    """Writes ``verdict`` as Markdown, CSV and HTML: the paper's claims against the records.

    Args:
        spec: a schedule's report, as :func:`doublemargin.experiment.exhibits.report_spec` resolves it.

    Raises:
        UserError: the report names no ``reported`` cells.
    """
    # Here alone: SciPy takes as long to load as all that tables and figures need.
    from doublemargin.report.claims.page import reach_verdict, write_verdict

    write_verdict(reach_verdict(spec, _reported(spec), records), out / "verdict")


def report_on(config: Mapping[str, Any], results: Path, schedules: Sequence[str] = ()) -> list[str]:
    """Gathers the records of some schedules and makes their reports.

    All of each in ``results/<schedule>``, and all of all on one page, ``results/report.html``.

    Args:
        schedules: by default all with records or result files, and if there are none, the config's own.

    Returns:
        The schedules.

    Raises:
        UserError: a schedule that the config does not have.
    """
    for schedule in schedules:
        if schedule not in config["schedules"]:
            raise UserError(f"no schedule '{schedule}': {nearest(schedule, config['schedules'])}")
    found = schedules or [name for name in config["schedules"] if _on_record(results / name)] or [config["schedule"]]
    parts = []
    for schedule in found:
        folder = results / schedule
        records = merge(read_records(folder), collect(results, schedule))
        if len(records.training):
            write_records(records, folder)
        parts.append(make_report(report_spec(Grid(config, schedule)), records, folder))
    write_one_page(parts, results / "report.html")
    return list(found)


def _on_record(folder: Path) -> bool:
    return (folder / FILES["training"]).is_file() or any(folder.glob("*/*/*/*/seed*/training.json"))


def make_overview(spec: Mapping[str, Any], records: Records, out: Path) -> Overview:
    """Writes ``overview`` as Markdown and HTML: what of a report has been run, on what, at what cost."""
    overview = build_overview(spec, records)
    write_overview(overview, out / "overview")
    return overview


def make_report(spec: Mapping[str, Any], records: Records, out: Path) -> Part:
    """Writes a report (:func:`doublemargin.experiment.exhibits.report_spec`), and returns it for a page of several."""
    overview = make_overview(spec, records, out)
    make_tables(spec["tables"], records, out / "tables")
    make_document(spec["schedule"], list(spec["tables"]), out / "tables")
    make_figures(spec["figures"], records, out / "figures")
    if spec["reported"]:
        make_comparisons(spec["tables"], records, out / "comparisons")
        make_verdict(spec, records, out)
    return part_of(spec, overview, out)


def _reported(spec: Mapping[str, Any]) -> Path:
    if not spec["reported"]:
        raise UserError(
            f"the report of schedule '{spec['schedule']}' has no numbers of the paper to compare with; give it a "
            "'reported' file in the config"
        )
    return Path(spec["reported"])
