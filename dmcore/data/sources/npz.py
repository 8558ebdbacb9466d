"""NumPy archives of plain arrays; nothing is unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib.npyio import NpzFile

from dmcore.data.sources.reading import reading
from dmcore.errors import UserError
from dmcore.registries import reader


@reader("npz")
def read_npz(paths: list[Path], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Reads ``train.npz`` and ``test.npz``: ``x`` (N, H, W, C), or (N, H, W) if grey, uint8; ``y`` (N,) integers."""
    by_name = {path.name: path for path in paths}
    arrays = {}
    for split in ("train", "test"):
        if f"{split}.npz" not in by_name:
            raise UserError(f"the format npz needs a file {split}.npz: name it among the source's files")
        path = by_name[f"{split}.npz"]
        with reading(path), path.open("rb") as opened, _archive(opened) as file:
            x, arrays[f"{split}_y"] = file["x"], file["y"]
            arrays[f"{split}_x"] = x[:, None] if x.ndim == 3 else np.moveaxis(x, -1, 1) if x.ndim == 4 else x
    return arrays


def _archive(opened: IO[bytes]) -> NpzFile:
    if not zipfile.is_zipfile(opened):  # else NumPy would advise to unpickle it
        raise ValueError("no .npz archive")
    opened.seek(0)
    return np.load(opened, allow_pickle=False)
