"""What is missing of a report, as items by priority: the places that they fill per second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from doublemargin.experiment.backlog.costs import Costs
from doublemargin.experiment.grid import Evaluation, Grid
from doublemargin.records.columns import MODEL, VALIDATION
from doublemargin.records.tidy import Records


@dataclass(frozen=True)
class Item:
    """What is run together: evaluations of one model, after its training where its weights are not there.

    Attributes:
        cells: how many cells it adds.
        places: how many places of tables and figures they fill.
        seconds: expected on one processor or device slot.
        begun: a stopped run left a state to go on from.
    """

    model: str
    trains: bool
    evaluations: tuple[Evaluation, ...]
    cells: int
    places: int
    seconds: float
    begun: bool = False

    @property
    def priority(self) -> float:
        """Places per second; of what was over too soon to be timed very many, not an error."""
        return self.places / max(self.seconds, 1e-9)

    @property
    def targets(self) -> list[str]:
        """The files to ask Snakemake for, one per evaluation."""
        return [f"results/{job.path}.json" for job in self.evaluations]

    @property
    def jobs(self) -> list[str]:
        """The paths of its models and evaluations, by which the rules know their jobs."""
        return [self.model] * self.trains + [job.path for job in self.evaluations]

    def __str__(self) -> str:
        parts = ["train"] * self.trains + [f"{job.by} {job.norm} n{job.points}" for job in self.evaluations]
        return f"{self.model}: {', '.join(parts)}"


def count_places(grid: Grid) -> Counter[str]:
    """In how many panels of tables and figures each cell stands."""
    shown: Counter[str] = Counter()
    for panel in grid.panels():
        shown.update({cell for job in grid.evaluations_of(panel) for cell in job.cell_paths()})
    return shown


def cells_on_record(grid: Grid, records: Records) -> set[str]:
    """The cells that have been run as the config says: this model's specification, these points and options."""
    how = grid.certification
    found = set()
    for kind, by, frame in (
        ("certify", "certifier", records.certified_accuracy),
        ("attack", "attack", records.robust_accuracy),
    ):
        frame = frame[frame["variant"].str.endswith(VALIDATION) == (how["split"] == "validation")]
        for column in {"points_seed", "clip_input", "intersect_ibp"} & set(frame.columns):
            frame = frame[frame[column].astype(str) == str(how[column])]
        found |= {
            f"{model}/{kind}/{row[by]}/{row['norm']}/n{row['points']}/{row['eps_cert']}"
            for model, row in _current(grid, frame)
        }
    return found


def models_here(grid: Grid, made: pd.DataFrame) -> set[str]:
    """The models whose weights are in the results folder, trained as the config says.

    Args:
        made: the training records of the files that are there (:func:`doublemargin.records.tidy.collect`).
    """
    return {model for model, _ in _current(grid, made)}


def _current(grid: Grid, frame: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of some records that are of the grid's models as the config describes them, each with its model."""
    models = set(grid.model_paths())
    for row in frame.to_dict("records"):
        model = "/".join([*(str(row[part]) for part in MODEL[:-1]), f"seed{row['seed']}"])
        if model in models and grid.spec_hash(model) == row["spec_hash"]:
            yield model, row


def missing(
    grid: Grid, done: Collection[str], here: Collection[str], begun: Collection[str], costs: Costs
) -> list[Item]:
    """What is still to be run, the most places filled per second first; what was begun comes before all else.

    A model that is to be trained goes with those of its evaluations that make the best of it; the others follow as
    items of their own.

    Args:
        done: cells on record.
        here: models whose weights are there.
        begun: the paths of models and evaluations that left a state when they stopped.
    """
    shown = count_places(grid)
    by_model: dict[str, list[Item]] = {}
    for job in grid.evaluations:
        cells = [cell for cell in job.cell_paths() if cell not in done]
        if cells:
            places = sum(shown[cell] for cell in cells)
            item = Item(job.model, False, (job,), len(cells), places, costs.evaluation(job), job.path in begun)
            by_model.setdefault(job.model, []).append(item)
    items: list[Item] = []
    for model, parts in by_model.items():
        parts.sort(key=_rank)
        if model not in here:
            first, *rest = _with_training(model, costs.training(model), parts)
            parts = [replace(first, begun=model in begun), *rest]
        items += parts
    return sorted(items, key=_rank)


def _with_training(model: str, seconds: float, parts: list[Item]) -> list[Item]:
    """The training with as many of the sorted evaluations as raise its priority, then the rest."""
    first = replace(parts[0], trains=True, seconds=seconds + parts[0].seconds)
    for taken, part in enumerate(parts[1:], 1):
        if part.priority < first.priority:
            return [first, *parts[taken:]]
        first = replace(
            first,
            evaluations=first.evaluations + part.evaluations,
            cells=first.cells + part.cells,
            places=first.places + part.places,
            seconds=first.seconds + part.seconds,
        )
    return [first]


def _rank(item: Item) -> tuple[Any, ...]:
    return not item.begun, -item.priority, str(item)
