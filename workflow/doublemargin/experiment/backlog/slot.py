"""One slot of time, filled: the items of a report with the most places per second, run one batch after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from doublemargin.experiment.backlog.costs import Costs
from doublemargin.experiment.backlog.items import Item, cells_on_record, missing, models_here
from doublemargin.experiment.backlog.run import run_until
from doublemargin.experiment.grid import Grid
from doublemargin.records.tidy import collect, merge, read_records, write_records

RESULTS = Path("results")
LOG = Path("logs/next.log")
SPARE = 20.0
"""Seconds before the limit in which what is under way is stopped and the records are gathered."""
LEAST = 10.0
"""Seconds that must be left to start Snakemake once more."""
MOST = 100
"""Items of a batch: Snakemake's plan must not take long."""


def chosen(grid: Grid, patterns: Sequence[str]) -> list[str]:
    """The models of a grid whose paths begin as one of some patterns says; all if there is none.

    Args:
        patterns: beginnings of ``dataset/arch/method/eps_train/seed``, as in a shell.
    """
    ends = [f"{grid.schedule}/{pattern.rstrip('/')}/*" for pattern in patterns] or ["*"]
    return [model for model in grid.model_paths() if any(fnmatch(f"{model}/", end) for end in ends)]


@dataclass
class SlotResult:
    """What a slot has brought.

    Attributes:
        cells: how many were added to the records.
        failed: items that were tried in vain.
        left: items still to be run, those failed among them.
        limited: it ended by its limit, or because it was asked to stop.
    """

    cells: int = 0
    failed: list[Item] = field(default_factory=list)
    left: list[Item] = field(default_factory=list)
    limited: bool = False


def backlog(grid: Grid, models: Collection[str], gather: bool = False) -> list[Item]:
    """What is still to be run of some models, by the records and the result files that are there.

    Args:
        gather: write the result files into the records.

    Raises:
        UserError: records or result files cannot be read.
    """
    folder = RESULTS / grid.schedule
    made = collect(RESULTS, grid.schedule)
    records = merge(read_records(folder), made)
    if gather and len(made.training):
        write_records(records, folder)
    others = {name: read_records(RESULTS / name) for name in grid.config["schedules"] if name != grid.schedule}
    costs = Costs(grid.config, others | {grid.schedule: records})
    items = missing(grid, cells_on_record(grid, records), models_here(grid, made.training), _begun(grid), costs)
    return [item for item in items if item.model in models]


def fill(
    grid: Grid,
    models: Collection[str],
    minutes: float,
    slots: int,
    options: Sequence[str],
    stopped: Callable[[], bool],
    tell: Callable[[str], None],
) -> SlotResult:
    """Runs what is missing of some models, in order, until a time limit.

    Args:
        minutes: the limit, from now; by then everything has ended and is on record.
        slots: how many jobs run at once.
        options: of Snakemake.
        stopped: whether to end before.
        tell: is given a line for each thing done.

    Raises:
        UserError: as :func:`backlog`.
    """
    deadline = time.monotonic() + 60 * minutes - SPARE
    done = SlotResult(left=backlog(grid, models, gather=True))
    tried: set[str] = set()
    while not done.limited:
        seconds = deadline - time.monotonic()
        items = batch([item for item in done.left if str(item) not in tried], slots * seconds, slots)
        if not items:
            break
        if stopped() or seconds < LEAST:
            done.limited = True
            break
        expected = sum(item.seconds for item in items) / slots / 60
        tell(f"next: {_summary(items)}; expected to take {expected:.0f} minutes")
        watch = Watch(items, tell)
        priorities = {job: len(items) - place for place, item in enumerate(items) for job in item.jobs}
        code = run_until(deadline, watch.targets, priorities, options, LOG, watch.look, stopped)
        watch.look()
        done.limited = code is None
        before, done.left = done.left, backlog(grid, models, gather=True)
        done.cells += sum(item.cells for item in before) - sum(item.cells for item in done.left)
        if not done.limited:
            tried |= {str(item) for item in items}
            left = {target for item in done.left for target in item.targets}
            done.failed += [item for item in items if not left.isdisjoint(item.targets)]
    return done


class Watch:
    """Tells of the files of some items as they come to be."""

    def __init__(self, items: Iterable[Item], tell: Callable[[str], None]) -> None:
        self.tell = tell
        self.waiting: dict[Path, str] = {}
        self.targets: list[str] = []
        for item in items:
            self.targets += item.targets
            if item.trains:
                self.waiting[RESULTS / item.model / "training.json"] = f"{item.model}: trained"
            for job, target in zip(item.evaluations, item.targets, strict=True):
                told = f"{item.model}: {job.by} {job.norm}, {job.points} points at {len(job.eps)} ε"
                self.waiting[Path(target)] = told
        self.old = {path: path.stat().st_mtime_ns for path in self.waiting if path.exists()}

    def look(self) -> None:
        """Tells what is new."""
        for path in [path for path in self.waiting if path.exists()]:
            if path.stat().st_mtime_ns != self.old.get(path):
                self.tell(self.waiting.pop(path))


def _begun(grid: Grid) -> set[str]:
    """Trainings and certifications with a state in the results folder, as :func:`missing` wants them."""
    folder = RESULTS / grid.schedule
    begun = {path.parent for path in folder.glob("*/*/*/*/seed*/unfinished-*.safetensors")}
    certified = folder.glob("*/*/*/*/seed*/certify/*/*/unfinished-*.safetensors")
    begun |= {path.with_name(path.stem.removeprefix("unfinished-")) for path in certified}
    return {path.relative_to(RESULTS).as_posix() for path in begun}


def batch(items: Sequence[Item], seconds: float, slots: int) -> list[Item]:
    """The first of the items, as many as fill that time of all slots together, and each of the slots."""
    first: list[Item] = []
    for item in items[:MOST]:
        if len(first) >= slots and sum(i.seconds for i in first) >= seconds:
            break
        first.append(item)
    return first


def _summary(items: Sequence[Item]) -> str:
    trainings, evaluations = sum(item.trains for item in items), sum(len(item.evaluations) for item in items)
    return f"{trainings} trainings, {evaluations} evaluations, {sum(item.cells for item in items)} cells"


def listing(items: Sequence[Item]) -> list[Mapping[str, Any]]:
    """The items as lines of a table, each with the sums of all up to it."""
    lines, cells, seconds = [], 0, 0.0
    for item in items:
        cells, seconds = cells + item.cells, seconds + item.seconds
        lines.append(
            {
                "cells": item.cells,
                "places": item.places,
                "minutes": item.seconds / 60,
                "all cells": cells,
                "all hours": seconds / 3600,
                "what": str(item) + (" (begun)" if item.begun else ""),
            }
        )
    return lines
