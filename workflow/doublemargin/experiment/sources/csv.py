"""Tables of features, a row a point."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from doublemargin.experiment.registries import reader
from doublemargin.experiment.sources.reading import named, reading

LABEL = "label"


@reader("csv")
def read_csv(paths: list[Path], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Reads ``train.csv`` and ``test.csv``: a line of names, then a line a point, features in [0, 1].

    The column ``label`` is the class, a whole number; all others are features, in their order, of the shape (1, 1, F).
    """
    arrays = {}
    for split in ("train", "test"):
        path = named(paths, f"{split}.csv", "csv")
        with reading(path), path.open(encoding="utf-8-sig") as file:
            names = [name.strip().strip('"') for name in file.readline().split(",")]
            if names.count(LABEL) != 1:
                raise ValueError(f"no column '{LABEL}' in its first line, or several")
            values = np.loadtxt(file, delimiter=",", ndmin=2)
            labels = values[:, names.index(LABEL)]
            if (labels != labels.round()).any():
                raise ValueError(f"the column '{LABEL}' has numbers that are not whole")
        arrays[f"{split}_x"] = np.delete(values, names.index(LABEL), 1)[:, None, None]
        arrays[f"{split}_y"] = labels.astype(np.int64)
    return arrays
