"""From result files to tables and figures. None of these commands needs torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmcore.errors import UserError
from doublemargin.commands.shared import Command, config_argument, from_records_arguments, spec_arguments
from doublemargin.files import PICTURE, check_writable

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

    for name, run, what in (
        ("tables", _tables, "Make tables from tidy records, each with its comparison with the paper."),
        ("figures", _figures, "Make figures from tidy records."),
        ("pages", _pages, "Make the pages about a whole schedule: its overview, its verdict and all-tables.tex."),
    ):
        sub = command(name, run, what)
        spec_arguments(sub, "what to make as JSON, as `dmcore spec` prints it")
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
    from doublemargin.report.make_tables import make_tables

    make_tables(args.spec, _records(args, args.spec), args.out)


def _figures(args: argparse.Namespace) -> None:
    from doublemargin.report.make import make_figures

    make_figures(args.spec, _records(args, args.spec), args.out)


def _pages(args: argparse.Namespace) -> None:
    from doublemargin.report.make_pages import make_pages

    for key in ("schedule", "tables", "figures"):
        if key not in args.spec:
            raise UserError(f"--spec: no report of a schedule, it has no '{key}'; `dmcore spec SCHEDULE` prints one")
    make_pages(args.spec, _records(args, args.spec["tables"] | args.spec["figures"]), args.out)


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
