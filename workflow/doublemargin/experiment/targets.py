"""What Snakemake is asked for: a name or path that it could not make is refused with the nearest that it can."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from dmcore.errors import UserError, nearest
from dmcore.norms import check_norm
from dmcore.registries import certifier
from doublemargin.experiment.grid import Grid, find_model, suites
from doublemargin.records.columns import FILES

OF_MODEL = ("model.safetensors", "training.json", "history.png", "certify", "attack", "radius")
OF_SCHEDULE = (*FILES.values(), "overview.md", "overview.html", "verdict.md", "verdict.csv", "verdict.html")
EXHIBITS = {"tables": "tables", "figures": "figures", "comparisons": "tables"}
"""The folders of a schedule, and the part of its report that they show."""


def check_target(grids: Mapping[str, Grid], named: Collection[str], target: str) -> None:
    """Refuses a target under ``results/`` or ``data/``, or without a folder, that no rule makes.

    Args:
        grids: by schedule.
        named: the rules that can be asked for by name.

    Raises:
        UserError: names the part of the target that nothing has, and the nearest that something has.
    """
    parts = target.rstrip("/").split("/")
    config = next(iter(grids.values())).config
    if target in named or Path(target).exists():
        return
    if len(parts) == 1:
        raise UserError(f"no target '{target}': {nearest(target, named)}, or a file (dmcore info --targets)")
    if parts[0] == "data":
        _known(target, parts[1], [f"{name}.safetensors" for name in config["datasets"]], "data set")
    if parts[0] != "results":
        return
    _known(target, parts[1], grids, "schedule")
    grid = grids[parts[1]]
    if len(parts) == 2:
        raise UserError(f"'{target}' is a folder: name a file in it, such as {target.rstrip('/')}/tables/table2.md")
    if parts[2] in EXHIBITS and len(parts) == 4:
        if parts[3] != "all-tables.tex":
            kind = EXHIBITS[parts[2]]
            _known(target, parts[3].partition(".")[0], grid.exhibits(kind), kind.removesuffix("s"))
    elif len(parts) == 3:
        _known(target, parts[2], OF_SCHEDULE, "file")
    else:
        _check_model(grids, target, parts)


def _check_model(grids: Mapping[str, Grid], target: str, parts: list[str]) -> None:
    """A file of a model: the model, what is asked of it, and for a cell whether a report certifies it."""
    if len(parts) < 8:
        raise UserError(f"'{target}' is not of the form results/schedule/dataset/arch/method/eps_train/seed0/file")
    grid = grids[parts[1]]
    find_model(grid.config, "/".join(parts[1:7]))
    _known(target, parts[7], OF_MODEL, "file of a model")
    if parts[7] != "certify":
        return
    cell = re.fullmatch(r"([^/]+)/([^/]+)/n(\d+)/([^/]+)\.json", "/".join(parts[8:]))
    if cell is None:
        raise UserError(f"'{target}' does not go on as certify/cnn-cert-relu/linf/n200/0.1.json")
    certifier.check(cell[1])
    check_norm(cell[2])
    schedule, dataset, method = parts[1], parts[2], parts[4]
    asked = [s for s in suites(grids.values()) if schedule in s.schedules and (s.dataset, s.norm) == (dataset, cell[2])]
    told = f"the report of schedule '{schedule}' certifies '{dataset}' under {cell[2]}"
    points = {str(suite.points): suite for suite in asked if method in suite.methods}
    if cell[3] not in points:
        raise UserError(f"'{target}': {told} with other numbers of points: {_list(points)}")
    if cell[4] not in points[cell[3]].eps:
        raise UserError(f"'{target}': {told} at other ε: {_list(points[cell[3]].eps)}")


def _known(target: str, name: str, known: Iterable[str], what: str) -> None:
    if name not in known:
        raise UserError(f"'{target}': no {what} '{name}': {nearest(name, known)}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
