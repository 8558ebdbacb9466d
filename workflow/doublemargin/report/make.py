"""From tidy records to the files of figures, and of whole reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from doublemargin.experiment.exhibits import report_spec
from doublemargin.experiment.grid import find_grid
from doublemargin.experiment.registries import figure
from doublemargin.records.columns import FILES
from doublemargin.records.tidy import Records, collect, merge, read_records, write_records
from doublemargin.report.make_tables import make_tables
from doublemargin.report.one_page import SchedulePart, part_of, write_one_page


def make_figures(exhibits: Mapping[str, Mapping[str, Any]], records: Records, out: Path) -> None:
    """Writes figures into ``figures/``, each as PNG, SVG and PDF.

    Args:
        exhibits: by name, as :func:`doublemargin.experiment.exhibits.exhibit_spec` resolves them.
    """
    for name, exhibit in exhibits.items():
        figure.get(exhibit["kind"])(exhibit, records, out / "figures" / name)


def make_report(spec: Mapping[str, Any], records: Records, out: Path) -> SchedulePart:
    """Writes a report (:func:`doublemargin.experiment.exhibits.report_spec`), and returns it for a page of several."""
    # Here alone: SciPy, which the verdict needs, takes as long to load as all that figures need.
    from doublemargin.report.make_pages import make_pages

    overview = make_pages(spec, records, out)
    make_tables(spec["tables"], records, out)
    make_figures(spec["figures"], records, out)
    return part_of(spec, overview, out)


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
    found = schedules or [name for name in config["schedules"] if _on_record(results / name)] or [config["schedule"]]
    grids, parts = [find_grid(config, schedule) for schedule in found], []
    for grid in grids:
        folder = results / grid.schedule
        records = merge(read_records(folder), collect(results, grid.schedule))
        if len(records.training):
            write_records(records, folder)
        parts.append(make_report(report_spec(grid), records, folder))
    write_one_page(parts, results / "report.html")
    return list(found)


def _on_record(folder: Path) -> bool:
    return (folder / FILES["training"]).is_file() or any(folder.glob("*/*/*/*/seed*/training.json"))
