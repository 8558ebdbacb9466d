"""Tables and figures, resolved: all that making them needs besides the records, as plain JSON data. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.registries import certifier as certifiers
from doublemargin.experiment.grid import Grid, Row, find_grid
from doublemargin.experiment.looks import look_name, looks_of
from doublemargin.experiment.sweeps import base_label

KINDS = ("tables", "figures")
"""The kinds of exhibits, as a report names them."""

COPIED = [
    *("dataset", "arch", "certifier", "norm", "points", "points_seed", "clip_input", "intersect_ibp", "std"),
    *("training_time", "compare"),
]
"""What a panel has as it is given, or as the report certifies."""


def accuracy_tables(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some tables, resolved or as in the config, that show accuracies."""
    return {name: table for name, table in tables.items() if table["kind"] == "accuracies"}


def heading(name: str) -> str:
    """A table's or figure's name as it is printed: ``table2`` as ``Table 2``, ``supplement1`` as ``Supplement 1``."""
    parts = re.fullmatch(r"([a-z]+)(\d+)", name)
    return f"{parts[1].capitalize()} {parts[2]}" if parts else name


def report_spec(grid: Grid) -> dict[str, Any]:
    """A schedule's report: its name, how it was ``shortened``, the ``reported`` numbers, ``tables`` and ``figures``."""
    exhibits = {kind: {name: exhibit_spec(grid, kind, name) for name in grid.report[kind]} for kind in KINDS}
    return {**_schedule(grid), **exhibits}


def exhibit_spec(grid: Grid, kind: str, name: str) -> dict[str, Any]:
    """A table or figure.

    Args:
        kind: ``tables`` or ``figures``.
        name: one of that kind in the schedule's report.

    Raises:
        UserError: the report has none of that name.
    """
    exhibit = grid.exhibit(kind, name)
    panels = exhibit.get("panels", ())
    looks = looks_of(grid.config) if kind == "figures" else {}
    several = {key: len({panel[key] for panel in panels}) > 1 for key in ("certifier", "norm")}
    return {
        "name": name,
        "kind": exhibit["kind"],
        **_schedule(grid),
        "caption": exhibit["caption"],
        "source": exhibit.get("source"),
        "reference": exhibit.get("reference"),
        # A cost is measured on all models of the schedule.
        "models": [grid.spec_hash(path) for path in grid.model_paths()] if exhibit["kind"] == "cost" else [],
        "panels": [_panel_spec(grid, exhibit["kind"], panel, several, looks) for panel in panels],
    }


def all_exhibits(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The tables and figures of a resolved report, by kind and name: one of each may have the same name."""
    return {f"{kind}/{name}": exhibit for kind in KINDS for name, exhibit in spec[kind].items()}


def find_exhibit(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The table or figure of that path, ``<schedule>/tables/<name>``, resolved, under its name.

    Raises:
        UserError: the path has another form, or the config has no such schedule, table or figure.
    """
    if path.count("/") != 2:
        raise UserError(f"'{path}' is not of the form schedule/tables/table2")
    schedule, kind, name = path.split("/")
    if kind not in KINDS:
        raise UserError(f"'{path}': '{kind}' is neither 'tables' nor 'figures'")
    return {name: exhibit_spec(find_grid(config, schedule), kind, name)}


def models_of(exhibits: Mapping[str, Any]) -> set[str]:
    """The hashes of all models' specifications that some resolved exhibits show."""
    return {
        model
        for exhibit in exhibits.values()
        for panel in exhibit["panels"]
        for row in panel["rows"]
        for model in row["models"]
    }


def _schedule(grid: Grid) -> dict[str, Any]:
    """What all exhibits of a report share: whose numbers they show, and the paper's to set beside them."""
    entry = grid.config["schedules"][grid.schedule]
    shortened = {"from": entry["scaled_from"], "factor": entry["factor"]} if "scaled_from" in entry else None
    return {"schedule": grid.schedule, "shortened": shortened, "reported": grid.report.get("reported")}


def _panel_spec(
    grid: Grid, kind: str, panel: Mapping[str, Any], several: Mapping[str, bool], looks: Mapping[str, int]
) -> dict[str, Any]:
    given = {**grid.certification, **panel}
    return {
        "title": _title(grid, panel, several),
        **{key: given[key] for key in COPIED},
        "attack": panel.get("attack"),
        "eps_cert": [Eps.parse(e).id for e in panel["eps_cert"]],
        "rows": [
            _row_spec(grid, panel, row) | {"group": i} | ({"look": looks[look_name(kind, row.method)]} if looks else {})
            for i, group in enumerate(panel["rows"])
            for row in grid.rows(panel | {"rows": [group]})
        ],
    }


def _title(grid: Grid, panel: Mapping[str, Any], several: Mapping[str, bool]) -> str:
    """As the paper heads its blocks; norm and certifier only where those of a table differ."""
    dataset, arch = grid.config["datasets"][panel["dataset"]], grid.config["architectures"][panel["arch"]]
    parts = [f"{arch['label']} {dataset['label']}", f"{arch['layers']} layer"]
    if several["norm"]:
        parts.append("ℓ∞" if panel["norm"] == "linf" else f"ℓ{panel['norm'][1:]}")
    if several["certifier"]:
        parts.append(certifiers.constant(panel["certifier"], "LABEL", panel["certifier"]))
    return f"{', '.join(parts)} ({panel['points']} points)"


def _row_spec(grid: Grid, panel: Mapping[str, Any], row: Row) -> dict[str, Any]:
    method = grid.config["methods"][row.method]
    label = panel["labels"].get(row.method, method["label"])
    return {
        "method": row.method,
        "label": label,
        "line": base_label(row.method, label),
        "baseline": method["baseline"],
        "own": method["own"],
        "eps": row.eps,
        # By their specifications: what was made before a change of the config is not shown.
        "models": [grid.spec_hash(path) for path in grid.model_paths_of(panel, row)],
    }
