"""Tidy records: every result file of a schedule as one line of a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.files import read_json, write_text
from dmcore.report.statistics import std_of_hundreds, wilson_interval

TRAINING, CERTIFIED = "training.csv", "certified_accuracy.csv"
MODEL = ["schedule", "dataset", "arch", "method", "eps_train", "seed"]
IDS = {"eps_train": str, "eps_cert": str, "spec_hash": str, "model_sha256": str, "commit": str}
ORIGIN = ["variant", "device", "commit", "torch", "spec_hash", "model_sha256"]
TRAINING_COLUMNS = [*MODEL, "seconds", "test_accuracy", "parameters", *ORIGIN]
CELL = ["certifier", "norm", "points", "points_seed", "clip_input", "eps_cert"]
MEASURED = ["certified", "accuracy", "wilson_low", "wilson_high", "std", "seconds"]
CERTIFIED_COLUMNS = [*MODEL, *CELL, *MEASURED, *ORIGIN]


def collect(results: Path, schedule: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reads all training and certification records of a schedule.

    Returns:
        (training, certified), sorted, one line a model and one a cell. Cells of weights that the model no longer has
        are left out.

    Raises:
        UserError: a record that cannot be read, or is of another model than its folder says.
    """
    training, certified = [], []
    for path in sorted((results / schedule).glob("*/*/*/*/seed*/training.json")):
        model = path.parent.relative_to(results).as_posix()
        record = _read(path, model)
        training.append(
            _model(model) | {key: record[key] for key in ("seconds", "test_accuracy", "parameters")} | _origin(record)
        )
        for path_of_cell in sorted(path.parent.glob("certify/*/*/n*/*.json")):
            cell = _read(path_of_cell, model)
            if cell["model_sha256"] == record["model_sha256"]:
                certified.append(_model(model) | _cell(cell))
            else:
                print(f"{path_of_cell}: left out, it is of other weights than the model's", file=sys.stderr)
    return _frame(training, TRAINING_COLUMNS), _frame(certified, CERTIFIED_COLUMNS)


def write_records(results: Path, schedule: str, out: Path) -> None:
    """Writes :func:`collect`'s tables to ``out/training.csv`` and ``out/certified_accuracy.csv``."""
    for name, frame in zip((TRAINING, CERTIFIED), collect(results, schedule), strict=True):
        write_text(out / name, frame.to_csv(index=False, lineterminator="\n"))


def read_records(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reads what :func:`write_records` wrote; empty tables where nothing has been run yet."""
    frames = []
    for name, columns in ((TRAINING, TRAINING_COLUMNS), (CERTIFIED, CERTIFIED_COLUMNS)):
        path = folder / name
        if not path.exists():
            frames.append(pd.DataFrame(columns=columns))
            continue
        frame = pd.read_csv(path, dtype=IDS, keep_default_na=False)
        if list(frame.columns) != columns:
            raise UserError(f"{path} has other columns than this version writes; remove it and collect again")
        frames.append(frame)
    return frames[0], frames[1]


def _read(path: Path, model: str) -> dict[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict) or record.get("model") != model:
        raise UserError(f"{path} is not a record of {model}; remove it and let Snakemake make it again")
    return record


def _model(path: str) -> dict[str, Any]:
    parts = dict(zip(MODEL, path.split("/"), strict=True))
    return parts | {"seed": int(parts["seed"].removeprefix("seed"))}


def _cell(record: dict[str, Any]) -> dict[str, Any]:
    n, certified = record["points"], sum(record["certified"])
    low, high = wilson_interval(certified, n)
    shown = {key: record[key] for key in ("certifier", "norm", "points", "points_seed", "clip_input", "seconds")}
    return (
        shown
        | {"eps_cert": record["eps"], "certified": certified, "accuracy": certified / n}
        | {
            "wilson_low": round(low, 6),
            "wilson_high": round(high, 6),
            "std": round(std_of_hundreds(certified / n, n), 6),
        }
        | _origin(record)
    )


def _origin(record: dict[str, Any]) -> dict[str, Any]:
    made = record["provenance"]
    return {
        "variant": record["data"]["variant"],
        "device": made["device"],
        "commit": made["commit"] or "unknown",
        "torch": made["torch"],
        "spec_hash": record["spec_hash"],
        "model_sha256": record["model_sha256"],
    }


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=columns)
    order = [*MODEL[:-2], "eps_train", "seed", *(c for c in ("certifier", "norm", "points") if c in columns)]
    if "eps_cert" in columns and len(frame):
        frame = frame.assign(radius=frame["eps_cert"].map(lambda e: float(Eps.parse(e))))
        return frame.sort_values([*order, "radius"]).drop(columns="radius").reset_index(drop=True)
    return frame.sort_values(order).reset_index(drop=True)
