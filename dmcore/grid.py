"""The grid: which models and which certification cells the exhibits of a report need. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dmcore.eps import Eps
from dmcore.errors import UserError, nearest
from dmcore.registries import certifier as certifiers
from dmcore.resolve import eps_id, model_spec
from dmcore.spec import ModelSpec


@dataclass(frozen=True)
class Suite:
    """What one certification job does: one model and certifier, all ε of this norm and number of points."""

    schedule: str
    dataset: str
    norm: str
    points: int
    eps: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name for its rule."""
        return f"certify_{self.schedule}_{self.dataset}_{self.norm}_n{self.points}".replace("-", "_")


@dataclass(frozen=True)
class Grid:
    """The models and cells of one schedule, read from the panels of its report."""

    config: Mapping[str, Any]
    schedule: str

    def exhibits(self, kind: str) -> Mapping[str, Any]:
        """The report's ``tables`` or ``figures`` by name."""
        return self.config["reports"][self.config["schedules"][self.schedule]["report"]][kind]

    def panels(self) -> Iterator[Mapping[str, Any]]:
        """All panels of all exhibits."""
        for kind in ("tables", "figures"):
            for exhibit in self.exhibits(kind).values():
                yield from exhibit["panels"]

    def models(self, panel: Mapping[str, Any]) -> list[ModelSpec]:
        """The models of one panel, row by row, each with every seed."""
        return [
            model_spec(
                self.config, self.schedule, panel["dataset"], panel["arch"], method, eps_id(row.get("eps_train")), seed
            )
            for row in panel["rows"]
            for method in row["methods"]
            for seed in self.config["seeds"]
        ]

    def model_paths(self) -> list[str]:
        """Every model once, however many exhibits use it."""
        return sorted({spec.path for panel in self.panels() for spec in self.models(panel)})

    def cell_paths(self) -> list[str]:
        """Every certification cell once: ``<model>/certify/<certifier>/<norm>/n<points>/<ε>``."""
        return sorted(
            {
                f"{spec.path}/certify/{panel['certifier']}/{norm(panel)}/n{panel['points']}/{eps_id(eps)}"
                for panel in self.panels()
                for spec in self.models(panel)
                for eps in panel["eps_cert"]
            }
        )

    def suites(self) -> list[Suite]:
        """The certification jobs' kinds: for a data set, norm and number of points, the union of all ε asked for."""
        eps: dict[tuple[str, str, int], set[Eps]] = {}
        for panel in self.panels():
            key = (panel["dataset"], norm(panel), panel["points"])
            eps.setdefault(key, set()).update(Eps.parse(e) for e in panel["eps_cert"])
        return [Suite(self.schedule, *key, tuple(e.id for e in sorted(found))) for key, found in sorted(eps.items())]


def norm(panel: Mapping[str, Any]) -> str:
    """A panel's norm."""
    return panel.get("norm", "linf")


def exhibit_spec(grid: Grid, kind: str, name: str) -> dict[str, Any]:
    """A table or figure, resolved: all that its rendering needs besides the records, as plain JSON data.

    Args:
        kind: ``tables`` or ``figures``.
        name: one of that kind in the schedule's report.
    """
    exhibit = grid.exhibits(kind)[name]
    return {
        "schedule": grid.schedule,
        "caption": exhibit["caption"],
        "panels": [_panel_spec(grid.config, panel) for panel in exhibit["panels"]],
    }


def _panel_spec(config: Mapping[str, Any], panel: Mapping[str, Any]) -> dict[str, Any]:
    dataset, arch = config["datasets"][panel["dataset"]], config["architectures"][panel["arch"]]
    certifier = certifiers.constant(panel["certifier"], "LABEL", panel["certifier"])
    methods = config["methods"]
    ball = "" if norm(panel) == "linf" else f", ℓ{norm(panel)[1:]}"
    net = f"{arch['label']} {dataset['label']}, {arch['layers']} layer"
    return {
        "title": f"{net}{ball}, {certifier} ({panel['points']} points)",
        "dataset": panel["dataset"],
        "arch": panel["arch"],
        "certifier": panel["certifier"],
        "norm": norm(panel),
        "points": panel["points"],
        "std": panel.get("std", False),
        "compare": panel.get("compare", []),
        "eps_cert": [eps_id(e) for e in panel["eps_cert"]],
        "rows": [
            {
                "method": method,
                "label": methods[method]["label"],
                "baseline": methods[method].get("baseline", False),
                "eps": eps_id(row.get("eps_train")),
            }
            for row in panel["rows"]
            for method in row["methods"]
        ],
    }


def find_model(config: Mapping[str, Any], path: str) -> ModelSpec:
    """The model of that path, ``<schedule>/<dataset>/<arch>/<method>/<ε_train>/seed<k>``, in the grid or not.

    Raises:
        UserError: the path has another form, or names something that the config does not have.
    """
    parts = path.strip("/").split("/")
    if len(parts) != 6 or not re.fullmatch(r"seed\d+", parts[5]):
        raise UserError(f"'{path}' is not of the form schedule/dataset/arch/method/eps_train/seed0")
    schedule, dataset, arch, method, eps, seed = parts
    for name, section in ((schedule, "schedules"), (dataset, "datasets"), (arch, "architectures"), (method, "methods")):
        if name not in config[section]:
            raise UserError(f"'{path}': '{name}' is not in the config's {section}: {nearest(name, config[section])}")
    return model_spec(config, schedule, dataset, arch, method, eps, int(seed[4:]))
