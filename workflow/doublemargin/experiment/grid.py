"""The grid: which models and which certification cells the exhibits of a report need. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
class Evaluation:
    """What one job does: it certifies or attacks one model under one norm, the same points at all its ε.

    Attributes:
        kind: ``certify`` or ``attack``.
        by: the certifier or attack.
    """

    model: str
    kind: str
    by: str
    norm: str
    points: int
    eps: tuple[str, ...]

    @property
    def path(self) -> str:
        """``<model>/<kind>/<certifier or attack>/<norm>/n<points>``: that of its result file, without the suffix."""
        return f"{self.model}/{self.kind}/{self.by}/{self.norm}/n{self.points}"

    def cell_paths(self) -> list[str]:
        """``<path>/<ε>``, by which cells are told apart."""
        return [f"{self.path}/{eps}" for eps in self.eps]


@dataclass(frozen=True)
class Grid:
    """The models and cells of one schedule, read from the panels of its report."""

    config: Mapping[str, Any]
    schedule: str

    @property
    def report(self) -> Mapping[str, Any]:
        """The report that the schedule fills."""
        return self.config["reports"][self.config["schedules"][self.schedule]["report"]]

    @property
    def certification(self) -> Mapping[str, Any]:
        """The settings of its certifications: ``split``, ``points_seed``, ``clip_input``, ``intersect_ibp``."""
        return {**self.config["certification"], **self.report.get("certification", {})}

    def exhibit(self, kind: str, name: str) -> Mapping[str, Any]:
        """One of the report's ``tables`` or ``figures``, as in the config.

        Raises:
            UserError: it has none of that name.
        """
        exhibits = self.report[kind]
        if name not in exhibits:
            raise UserError(f"'{self.schedule}' has no {kind.removesuffix('s')} '{name}': {nearest(name, exhibits)}")
        return exhibits[name]

    def panels(self) -> Iterator[Mapping[str, Any]]:
        """All panels of all exhibits; those of figures, which show no attack, without theirs."""
        for exhibit in self.report["tables"].values():
            yield from exhibit.get("panels", ())
        for exhibit in self.report["figures"].values():
            for panel in exhibit.get("panels", ()):
                yield {**panel, "attack": None}

    def part(self, kind: str, *names: str) -> Grid:
        """The grid of some tables or figures alone."""
        report = {**self.report, "tables": {}, "figures": {}} | {
            kind: {name: self.exhibit(kind, name) for name in names}
        }
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

    def evaluations_of(self, panel: Mapping[str, Any]) -> Iterator[Evaluation]:
        """What a panel asks of its models: certificates, and attacks if it names one, at every ε but 0."""
        certified = tuple(Eps.parse(eps).id for eps in panel["eps_cert"])
        attacked = tuple(eps for eps in certified if Eps.parse(eps).value)
        for row in self.rows(panel):
            for model in self.model_paths_of(panel, row):
                yield Evaluation(model, "certify", panel["certifier"], panel["norm"], panel["points"], certified)
                if attacked and (attack := panel.get("attack")):
                    yield Evaluation(model, "attack", attack, panel["norm"], panel["points"], attacked)

    def model_paths(self) -> list[str]:
        """Every model once, however many exhibits use it."""
        return sorted({job.model for job in self.evaluations})

    def cell_paths(self) -> list[str]:
        """Every cell once."""
        return [cell for job in self.evaluations for cell in job.cell_paths()]

    @cached_property
    def evaluations(self) -> list[Evaluation]:
        """Every certification and attack once, with the ε that any exhibit asks of it."""
        eps: dict[tuple[str, str, str, str, int], set[str]] = {}
        for panel in self.panels():
            for job in self.evaluations_of(panel):
                eps.setdefault((job.model, job.kind, job.by, job.norm, job.points), set()).update(job.eps)
        in_order = sorted(set().union(*eps.values()), key=Eps.parse)
        place = {id_: i for i, id_ in enumerate(in_order)}  # comparing whole numbers is cheap, comparing fractions not
        return [Evaluation(*key, tuple(sorted(found, key=place.__getitem__))) for key, found in sorted(eps.items())]

    def eps_of(self, path: str) -> tuple[str, ...]:
        """The ε of a result file ``<model>/<certify or attack>/<certifier or attack>/<norm>/n<points>``.

        Those that the report asks of it; of a file that no exhibit shows, all that the report asks of its data set
        under its norm.

        Raises:
            UserError: it asks for none there.
        """
        if path in self._eps_of:
            return self._eps_of[path]
        _, dataset, *_, norm_, _ = path.split("/")
        jobs = [job for job in self.evaluations if (job.model.split("/")[1], job.norm) == (dataset, norm_)]
        if not jobs:
            raise UserError(f"the report of schedule '{self.schedule}' certifies no '{dataset}' under {norm_}")
        return tuple(sorted({eps for job in jobs for eps in job.eps}, key=Eps.parse))

    @cached_property
    def _eps_of(self) -> dict[str, tuple[str, ...]]:
        return {job.path: job.eps for job in self.evaluations}

    def spec_hash(self, model: str) -> str:
        """The hash of a model's specification, worked out once: a report shows a model in many places."""
        if model not in self._hashes:
            self._hashes[model] = find_model(self.config, model).hash
        return self._hashes[model]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {}


def train_eps(group: Mapping[str, Any]) -> list[str]:
    """The ids of the ε_train of a group of rows; ``none`` where its methods have no ε."""
    return [Eps.parse(eps).id for eps in group["eps_train"]] if "eps_train" in group else ["none"]


def find_grid(config: Mapping[str, Any], schedule: str) -> Grid:
    """The grid of that schedule.

    Raises:
        UserError: the config has no such schedule.
    """
    if schedule not in config["schedules"]:
        known = nearest(schedule, config["schedules"])
        raise UserError(f"the config has no schedule '{schedule}' (did you forget --configfile?): {known}")
    return Grid(config, schedule)


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
