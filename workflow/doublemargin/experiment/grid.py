"""The grid: which models and which certification cells the exhibits of a report need. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dmcore.eps import Eps
from dmcore.errors import UserError, nearest
from dmcore.spec import ModelSpec
from doublemargin.experiment.resolve import model_spec


@dataclass(frozen=True)
class Row:
    """One line of a panel: a method at one ε_train; with several seeds it shows their average."""

    method: str
    eps: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Certification:
    """What one job does: one model and certifier, one norm, the same points at all its ε."""

    model: str
    certifier: str
    norm: str
    points: int
    eps: tuple[str, ...]

    def cell_paths(self) -> list[str]:
        """``<model>/certify/<certifier>/<norm>/n<points>/<ε>``."""
        return [f"{self.model}/certify/{self.certifier}/{self.norm}/n{self.points}/{eps}" for eps in self.eps]


@dataclass(frozen=True)
class Grid:
    """The models and cells of one schedule, read from the panels of its report."""

    config: Mapping[str, Any]
    schedule: str

    @property
    def report(self) -> Mapping[str, Any]:
        """The report that the schedule fills."""
        return self.config["reports"][self.config["schedules"][self.schedule]["report"]]

    def exhibits(self, kind: str) -> Mapping[str, Any]:
        """The report's ``tables`` or ``figures`` by name."""
        return self.report[kind]

    def panels(self) -> Iterator[Mapping[str, Any]]:
        """All panels of all exhibits."""
        for kind in ("tables", "figures"):
            for exhibit in self.exhibits(kind).values():
                yield from exhibit.get("panels", ())

    def part(self, kind: str, *names: str) -> Grid:
        """The grid of some tables or figures alone."""
        report = {"tables": {}, "figures": {}} | {kind: {name: self.exhibits(kind)[name] for name in names}}
        reports = {self.config["schedules"][self.schedule]["report"]: report}
        return Grid({**self.config, "reports": reports}, self.schedule)

    def rows(self, panel: Mapping[str, Any]) -> list[Row]:
        """The lines of a panel: group by group, ε_train by ε_train, method by method."""
        return [
            Row(method, eps, tuple(group.get("seeds", self.config["seeds"])))
            for group in panel["rows"]
            for eps in train_eps(group)
            for method in group["methods"]
        ]

    def model_paths_of(self, panel: Mapping[str, Any], row: Row) -> list[str]:
        """The models of one line of a panel, one a seed."""
        place = f"{self.schedule}/{panel['dataset']}/{panel['arch']}/{row.method}/{row.eps}"
        return [f"{place}/seed{seed}" for seed in row.seeds]

    def model_paths(self) -> list[str]:
        """Every model once, however many exhibits use it."""
        return sorted({certification.model for certification in self.certifications})

    def cell_paths(self) -> list[str]:
        """Every certification cell once."""
        return [cell for certification in self.certifications for cell in certification.cell_paths()]

    @cached_property
    def certifications(self) -> list[Certification]:
        """Every certification job once, with the ε that any exhibit asks of it."""
        eps: dict[tuple[str, str, str, int], set[str]] = {}
        for panel in self.panels():
            asked = {Eps.parse(e).id for e in panel["eps_cert"]}
            for row in self.rows(panel):
                for model in self.model_paths_of(panel, row):
                    eps.setdefault((model, panel["certifier"], panel["norm"], panel["points"]), set()).update(asked)
        in_order = sorted(set().union(*eps.values()), key=Eps.parse)
        place = {id_: i for i, id_ in enumerate(in_order)}  # comparing whole numbers is cheap, comparing fractions not
        return [Certification(*key, tuple(sorted(found, key=place.__getitem__))) for key, found in sorted(eps.items())]

    def spec_hash(self, model: str) -> str:
        """The hash of a model's specification, worked out once: a report shows a model in many places."""
        if model not in self._hashes:
            self._hashes[model] = find_model(self.config, model).hash
        return self._hashes[model]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True)
class Suite:
    """Certification jobs that differ in their model and certifier alone: they share a rule."""

    schedules: tuple[str, ...]
    dataset: str
    methods: tuple[str, ...]
    norm: str
    points: int
    eps: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name for its rule."""
        name = f"certify_{self.schedules[0]}_{self.dataset}_{self.norm}_n{self.points}_{len(self.eps)}"
        return re.sub(r"\W", "_", name)


def suites(grids: Iterable[Grid]) -> list[Suite]:
    """The kinds of certification jobs of some grids.

    The ε of a job follow from the data set, norm, number of points and method. Methods that no exhibit asks for go
    with those that are certified at the most ε, so that any model can be certified by naming its file.
    """
    shared: dict[tuple[Any, ...], list[str]] = {}
    for grid in grids:
        eps: dict[tuple[str, str, int], dict[str, set[str]]] = {}
        for job in grid.certifications:
            _, dataset, _, method, _, _ = job.model.split("/")
            of_method = eps.setdefault((dataset, job.norm, job.points), {}).setdefault(method, set())
            of_method.update(job.eps)
        for (dataset, norm_, points), of_method in eps.items():
            groups: dict[tuple[str, ...], list[str]] = {}
            for method, found in of_method.items():
                groups.setdefault(tuple(sorted(found, key=Eps.parse)), []).append(method)
            groups[max(groups, key=len)] += [m for m in grid.config["methods"] if m not in of_method]
            for radii, methods in groups.items():
                key = (dataset, tuple(sorted(methods)), norm_, points, radii)
                shared.setdefault(key, []).append(grid.schedule)
    return [Suite(tuple(schedules), *key) for key, schedules in sorted(shared.items())]


def train_eps(group: Mapping[str, Any]) -> list[str]:
    """The ids of the ε_train of a group of rows; ``none`` where its methods have no ε."""
    return [Eps.parse(eps).id for eps in group["eps_train"]] if "eps_train" in group else ["none"]


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
