"""From result files to tables and figures. None of these commands needs torch."""

from __future__ import annotations

import argparse
from pathlib import Path

from dmcore.errors import UserError
from doublemargin.commands.shared import Command, config_argument
from doublemargin.files import PICTURE, check_writable


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

    exhibit = command("exhibit", _exhibit, "Make one table with its comparison, one figure, or a schedule's pages.")
    what = "demo/tables/table2, demo/figures/figure1, or a schedule for its overview, verdict and all-tables.tex"
    exhibit.add_argument("what", help=f"{what}; pages are of its records, all else of its result files, if it has any")
    config_argument(exhibit)
    exhibit.add_argument("--results", type=Path, default=Path("results"), help="(default: %(default)s)")

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


def _exhibit(args: argparse.Namespace) -> None:
    from doublemargin.experiment.config import given_config
    from doublemargin.experiment.exhibits import find_exhibit, models_of, report_spec
    from doublemargin.experiment.grid import find_grid
    from doublemargin.records.tidy import collect, read_records

    config = given_config(args.config, *args.configfile)
    schedule, _, exhibit = args.what.partition("/")
    out = args.results / schedule
    if not exhibit:
        from doublemargin.report.make_pages import make_pages

        make_pages(report_spec(find_grid(config, schedule)), read_records(out), out)
        return
    made = find_exhibit(config, args.what)
    records = collect(args.results, schedule, models_of(made) or None)  # costs are about all models
    if records.training.empty:  # as in a clone, which has the records alone
        records = read_records(out)
    if exhibit.startswith("tables/"):
        from doublemargin.report.make_tables import make_tables

        make_tables(made, records, out)
    else:
        from doublemargin.report.make import make_figures

        make_figures(made, records, out)


def _report(args: argparse.Namespace) -> None:
    from doublemargin.experiment.config import given_config
    from doublemargin.report.make import report_on

    for schedule in report_on(given_config(args.config, *args.configfile), args.results, args.schedules):
        print(f"{args.results / schedule}: report made")
    print(f"{args.results / 'report.html'}: all of it on one page")


def _history(args: argparse.Namespace) -> None:
    check_writable(args.out, PICTURE)
    from doublemargin.report.histories import write_history

    write_history(args.record, args.out)
