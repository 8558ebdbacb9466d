"""What is still to be run, and running it in slots of time."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dmcore.errors import UserError
from doublemargin.arguments import count, positive
from doublemargin.commands.shared import Command, config_argument

SHORTEST = 1
"""Minutes. Snakemake takes some seconds to start, states and records some to be written."""


def add_to(command: Command) -> None:
    """Declares this command."""
    next_ = command(
        "next", _next, "Run the missing cells of a report, those that fill most places per second first, until a limit."
    )
    next_.add_argument("--minutes", type=positive, help="the limit, from now; by then all has ended and is on record")
    next_.add_argument("--list", action="store_true", help="only print what is missing, or what fits the limit")
    next_.add_argument("--schedule", help="by default the config's own")
    config_argument(next_)
    next_.add_argument("--tables", nargs="+", default=[], help="of these alone, e.g. table2 table8")
    what = "of these models alone, by the beginning of their path under the schedule, e.g. mnist/small mnist/*/ibp"
    next_.add_argument("--models", nargs="+", default=[], metavar="PATTERN", help=what)
    next_.add_argument("--cores", type=count, help="CPU cores for jobs (default: all)")
    next_.add_argument("--gpu", type=count, help="jobs at once on all GPUs; without it as many as there are cores")
    next_.add_argument("snakemake", nargs="*", help="after --: more options of Snakemake, for every run of it")


def _next(args: argparse.Namespace) -> None:
    from dmcore.signals import stoppable
    from doublemargin.experiment.backlog.run import alone
    from doublemargin.experiment.backlog.slot import LOG, backlog, batch, chosen, fill, listing
    from doublemargin.experiment.config import load_config
    from doublemargin.experiment.grid import find_grid

    if args.minutes is None and not args.list:
        raise UserError("give --minutes, to run what is missing, or --list, to see it")
    if args.minutes is not None and args.minutes < SHORTEST:
        raise UserError(f"--minutes {args.minutes:g} is too short to start anything; give {SHORTEST} or more")
    if not Path("Snakefile").is_file():
        raise UserError("there is no Snakefile here: run `dmcore next` in the project's folder")
    config = load_config(args.config, *args.configfile)
    schedule = args.schedule or config["schedule"]
    grid = find_grid(config, schedule)
    if args.tables:
        grid = grid.part("tables", *args.tables)
    models = chosen(grid, args.models)
    if not models:
        raise UserError(f"no model of schedule '{schedule}' begins with {' or '.join(args.models)}")
    cores = args.cores or len(os.sched_getaffinity(0))
    slots = min(cores, args.gpu or cores)
    if args.list:
        from tabulate import tabulate

        items = backlog(grid, models)
        lines = listing(items if args.minutes is None else batch(items, slots * 60 * args.minutes, slots))
        print(tabulate(lines, headers="keys", floatfmt=".1f", tablefmt="simple") if lines else "nothing is missing")
        return
    files = [*([args.config] if args.config != Path("config.yaml") else []), *args.configfile]
    options = ["--configfile", *map(str, files)] if files else []
    options += [f"--cores={cores}"]
    options += [f"--resources=gpu={args.gpu}"] if args.gpu else []
    options += args.snakemake
    with alone(), stoppable() as stopper:
        done = fill(grid, models, args.minutes, slots, options, lambda: stopper.asked, _tell)
    left = sum(item.cells for item in done.left)
    print(f"{done.cells} cells more on record in results/{schedule}, {left} left; tables: snakemake --cores 1 tables")
    if done.failed:
        raise UserError(f"{len(done.failed)} failed, the first of them {done.failed[0]}; see {LOG}")


def _tell(line: str) -> None:
    from datetime import datetime

    print(f"{datetime.now():%H:%M:%S} {line}", flush=True)
