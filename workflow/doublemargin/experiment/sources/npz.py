"""NumPy archives of plain arrays; nothing is unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from doublemargin.experiment.registries import reader
from doublemargin.experiment.sources.reading import named, reading

LIMIT = 4 * 2**30
"""Bytes that one archive's arrays may unpack to; larger sets come as Parquet, in shards."""


@reader("npz")
def read_npz(paths: list[Path], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Reads ``train.npz`` and ``test.npz``: ``x``, uint8 or floats in [0, 1], and ``y`` (N,), integers.

    ``x`` is (N, H, W, C), or (N, H, W) if grey, or (N, F) for features, which become images of the shape (1, 1, F).
    """
    arrays = {}
    for split in ("train", "test"):
        path = named(paths, f"{split}.npz", "npz")
        with reading(path):
            if not zipfile.is_zipfile(path):  # else NumPy would advise to unpickle it
                raise ValueError("no .npz archive")
        with reading(path), zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > LIMIT:
                raise ValueError(f"more than {LIMIT} bytes when unpacked")
        with reading(path), path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            x, arrays[f"{split}_y"] = file["x"], file["y"]
            x = x[:, None] if x.ndim == 2 else x
            arrays[f"{split}_x"] = x[:, None] if x.ndim == 3 else np.moveaxis(x, -1, 1) if x.ndim == 4 else x
    return arrays
