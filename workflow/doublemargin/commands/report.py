"""From result files to tables and figures. None of these commands needs torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmcore.errors import UserError
from dmcore.files import check_writable
from dmcore.recognise import PICTURE
from doublemargin.commands.shared import Command, config_argument, from_records_arguments, spec_arguments

if TYPE_CHECKING:
    from doublemargin.records.tidy import Records


def add_to(command: Command) -> None:
    """Declares these commands."""
    collect = command("collect", _collect, "Gather a schedule's result files into its tidy records.")
    collect.add_argument("--results", type=Path, required=True, help="the results folder")
    collect.add_argument("--schedule", required=True, help="the schedule to gather")
    collect.add_argument("--out", type=Path, required=True, help="folder for the records")

    merge = command(
        "merge", _merge, "Merge the tidy records of several runs; of the same model or cell the last one's stay."
    )
    merge.add_argument(
        "folders", type=Path, nargs="+", help="folders with records of one schedule, from oldest to newest"
    )
    merge.add_argument("--out", type=Path, required=True, help="folder for the records; what it holds is the oldest")

    for kind, run in (("tables", _tables), ("figures", _figures)):
        sub = command(kind, run, f"Make some {kind} from tidy records; cells not run yet show as such.")
        spec_arguments(sub, f"resolved descriptions of the {kind} by name, as JSON")
        from_records_arguments(sub)
    document = command("document", _document, "Make all-tables.tex, a LaTeX document of tables that lie beside it.")
    document.add_argument("tables", nargs="+", help="the tables' names, in order")
    document.add_argument("--schedule", required=True, help="the schedule that they are of")
    document.add_argument("--out", type=Path, required=True, help="folder of the tables")
    comparisons = command("comparisons", _comparisons, "Set accuracy tables beside the paper's, from tidy records.")
    spec_arguments(comparisons, "resolved descriptions of the tables by name, as JSON")
    from_records_arguments(comparisons)
    for name, run, what in (
        ("overview", _overview, "Count what of a report has been run, on what, at what cost."),
        ("verdict", _verdict, "Judge the paper's claims by tidy records."),
    ):
        sub = command(name, run, what)
        spec_arguments(sub, "a schedule's report as JSON, as `dmcore spec SCHEDULE` prints it")
        from_records_arguments(sub)
    report = command("report", _report, "Gather all records and make everything of a report that they allow.")
    report.add_argument("schedules", nargs="*", help="by default those with results, or else the config's own")
    config_argument(report)
    report.add_argument("--results", type=Path, default=Path("results"), help="(default: %(default)s)")

    history = command("history", _history, "Draw the course of a training from its record.")
    history.add_argument("--record", type=Path, required=True, help="training record from `train`")
    history.add_argument("--out", type=Path, required=True, help="PNG to write")


def _collect(args: argparse.Namespace) -> None:
    from doublemargin.records.tidy import collect, merge, read_records, write_records

    if not (args.results / args.schedule).is_dir():
        raise UserError(f"{args.results} has no results of a schedule '{args.schedule}'")
    write_records(merge(read_records(args.out), collect(args.results, args.schedule)), args.out)


def _merge(args: argparse.Namespace) -> None:
    from functools import reduce

    from doublemargin.records.columns import FILES
    from doublemargin.records.tidy import merge, read_records, write_records

    for folder in args.folders:
        if not (folder / FILES["training"]).is_file():
            raise UserError(f"{folder} has no records: there is no {FILES['training']} in it")
    merged = reduce(merge, [read_records(folder) for folder in (args.out, *args.folders)])
    schedules = sorted(merged.training["schedule"].unique())
    if len(schedules) > 1:
        raise UserError(f"records of several schedules are kept apart: here are {' and '.join(schedules)}")
    write_records(merged, args.out)
    print(f"{args.out}: {len(merged.training)} models, {len(merged.certified_accuracy)} cells")


def _records(args: argparse.Namespace, exhibits: Mapping[str, Any]) -> Records:
    """The records that some resolved exhibits need, from where the command line says."""
    from doublemargin.experiment.exhibits import models_of
    from doublemargin.records.tidy import collect, read_records

    for name, exhibit in exhibits.items():
        if not isinstance(exhibit, dict) or "kind" not in exhibit:
            raise UserError(f"--spec: '{name}' is no table or figure; `dmcore spec SCHEDULE` prints a schedule's")
    if args.records:
        return read_records(args.records)
    (schedule,) = {exhibit["schedule"] for exhibit in exhibits.values()}
    return collect(args.results, schedule, models_of(exhibits) or None)  # costs are about all models


def _tables(args: argparse.Namespace) -> None:
    from doublemargin.report.make import make_tables

    make_tables(args.spec, _records(args, args.spec), args.out)


def _figures(args: argparse.Namespace) -> None:
    from doublemargin.report.make import make_figures

    make_figures(args.spec, _records(args, args.spec), args.out)


def _comparisons(args: argparse.Namespace) -> None:
    from doublemargin.report.make import make_comparisons

    make_comparisons(args.spec, _records(args, args.spec), args.out)


def _of_report(spec: dict[str, Any]) -> dict[str, Any]:
    """A schedule's report, if it is one."""
    for key in ("schedule", "tables", "figures"):
        if key not in spec:
            raise UserError(f"--spec: no report of a schedule, it has no '{key}'; `dmcore spec SCHEDULE` prints one")
    return spec


def _overview(args: argparse.Namespace) -> None:
    from doublemargin.report.make import make_overview

    spec = _of_report(args.spec)
    make_overview(spec, _records(args, spec["tables"] | spec["figures"]), args.out)


def _verdict(args: argparse.Namespace) -> None:
    from doublemargin.report.make import make_verdict

    spec = _of_report(args.spec)
    make_verdict(spec, _records(args, spec["tables"]), args.out)


def _document(args: argparse.Namespace) -> None:
    from doublemargin.report.make import make_document

    make_document(args.schedule, args.tables, args.out)


def _report(args: argparse.Namespace) -> None:
    from doublemargin.experiment.config import given_config
    from doublemargin.report.make import report_on

    for schedule in report_on(given_config(args.config), args.results, args.schedules):
        print(f"{args.results / schedule}: report made")
    print(f"{args.results / 'report.html'}: all of it on one page")


def _history(args: argparse.Namespace) -> None:
    check_writable(args.out, PICTURE)
    from doublemargin.report.histories import write_history

    write_history(args.record, args.out)
