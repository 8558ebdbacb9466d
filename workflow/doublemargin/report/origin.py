"""Where numbers of ours come from, in words: schedule, data, devices, and what sets them apart from the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from doublemargin.experiment.exhibits import models_of
from doublemargin.records.tidy import Records


def cells_of(panel: Mapping[str, Any], frame: pd.DataFrame) -> pd.DataFrame:
    """The lines of a panel's cells, from the certified accuracies or the verdicts.

    Only of the models that the config describes now, by their specifications' hashes, and certified as it says.
    """
    models = {model for row in panel["rows"] for model in row["models"]}
    cells = frame[frame["spec_hash"].isin(models) & frame["eps_cert"].isin(panel["eps_cert"])]
    for key in ("certifier", "norm", "points", "points_seed"):
        cells = cells[cells[key] == panel[key]]
    for key in ("clip_input", "intersect_ibp"):
        cells = cells[cells[key] == str(panel[key])]
    return cells


def data_mark(cells: pd.DataFrame) -> str:
    """What a title must add where the data are not the official ones, so that no reader takes them for these."""
    others = sorted({str(v) for v in cells["variant"]} - {"official"})
    return f" [data: {'; '.join(others)}]" if others else ""


def used_by(exhibits: Mapping[str, Mapping[str, Any]], records: Records) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lines of certified accuracy, and of training, that some tables and figures show; each once."""
    panels = [panel for exhibit in exhibits.values() for panel in exhibit["panels"]]
    cells = [cells_of(panel, records.certified_accuracy) for panel in panels]
    used = pd.concat(cells).drop_duplicates() if cells else records.certified_accuracy.iloc[:0]
    return used, records.training[records.training["spec_hash"].isin(models_of(exhibits))]


def shortening(spec: Mapping[str, Any]) -> list[str]:
    """What a reader must know of a shortened schedule, as each of its pages, tables and figures says; or nothing."""
    if not spec["shortened"]:
        return []
    factor, source = spec["shortened"]["factor"], spec["shortened"]["from"]
    return [
        f"Schedule {spec['schedule']}: each of our trainings took {factor:g} times the steps of schedule {source}. "
        "What differs from the paper's numbers may be due to that alone."
    ]


def warnings(spec: Mapping[str, Any], cells: pd.DataFrame) -> list[str]:
    """What a reader must know before comparing with the paper.

    Args:
        spec: a table's or report's description; its ``schedule`` and how it was ``shortened``.
        cells: the lines of certified accuracy that are compared.
    """
    found = shortening(spec)
    variants = cells[["dataset", "variant"]].drop_duplicates()
    for dataset, variant in variants[variants["variant"] != "official"].sort_values("dataset").values:
        found.append(f"Data: our {dataset} is a copy '{variant}', not the official one.")
    return found


def notes(spec: Mapping[str, Any], cells: pd.DataFrame, training: pd.DataFrame) -> list[str]:
    """What our numbers were made from: models, cells, data, points, devices, versions."""
    if cells.empty and training.empty:
        return [f"Schedule {spec['schedule']}; nothing has been run yet."]
    data = ", ".join(f"{d} ({v})" for d, v in sorted(set(training[["dataset", "variant"]].itertuples(index=False))))
    steps = ", ".join(f"{dataset} {_span(group)}" for dataset, group in training.groupby("dataset", sort=True)["steps"])
    return [
        f"Ours: schedule {spec['schedule']}, {len(training)} models (seeds {_distinct(training, 'seed')}), "
        f"{len(cells)} cells; training steps: {steps}; data: {data}.",
        f"Trained on {_distinct(training, 'device')}; certified on {_distinct(cells, 'device')}; "
        f"torch {_distinct(training, 'torch')}; commit {_distinct(training, 'commit')}. "
        "The paper's times are of a Tesla P100.",
    ]


def _distinct(frame: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted(frame[column].astype(str).unique())) or "none"


def _span(steps: pd.Series) -> str:
    low, high = steps.min(), steps.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
