"""What the paper reports, in this project's names. For comparison only: nothing of ours is computed from it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dmcore.eps import Eps
from dmcore.errors import UserError
from doublemargin.files import shipped

COLUMNS = [
    *("table", "panel", "dataset", "arch", "method", "eps_train", "certifier", "norm", "points", "eps_cert"),
    *("models", "accuracy", "std", "seconds", "status", "notes"),
]
AVERAGED = {("table5", "dm"): 3}
"""Rows that are means over several models: table and method, and of how many models."""


def read_reported(path: Path) -> pd.DataFrame:
    """The paper's accuracy cells, one line a cell, keyed as in our own records.

    Returns:
        :data:`COLUMNS`; ``table`` as ``table2``, ε as ids, ``method`` as in ``config.yaml`` (the ℓ1 version of Double
        Margin is ``dm_for_l1``), ``models`` how many a cell is the mean of, ``accuracy`` and ``std`` as shares in
        [0, 1], NaN where the paper's text is illegible, ``seconds`` of training on its P100.

    Raises:
        UserError: the file is missing or has other columns.
    """
    try:
        raw = pd.read_csv(shipped(path), dtype=str, keep_default_na=False)
        frame = pd.DataFrame(
            {
                "table": "table" + raw["table"],
                "panel": raw["panel"],
                "dataset": raw["dataset"],
                "arch": raw["arch"],
                "method": raw["method"].where(raw["train_norm"] == "linf", "dm_for_" + raw["train_norm"]),
                "eps_train": raw["eps_train_label"].map(lambda label: Eps.parse(label).id if label else "none"),
                "certifier": raw["certifier"],
                "norm": raw["cert_norm"],
                "points": raw["n_points"].astype(int),
                "eps_cert": raw["eps_cert_label"].map(lambda label: Eps.parse(label).id),
                "accuracy": pd.to_numeric(raw["accuracy"]) / 100,
                "std": pd.to_numeric(raw["std"]) / 100,
                "seconds": pd.to_numeric(raw["training_time_s"]),
                "status": raw["status"],
                "notes": raw["notes"],
            }
        )
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} is not the paper's table of reported cells: {error}") from error
    rows = zip(frame["table"], frame["method"], strict=True)
    return frame.assign(models=[AVERAGED.get(row, 1) for row in rows])[COLUMNS]
