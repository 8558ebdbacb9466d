"""The IDX format of MNIST: gzip-compressed big-endian arrays with their shape in front."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from doublemargin.experiment.registries import reader
from doublemargin.experiment.sources.reading import named, reading, unpack

UINT8 = 0x08
NAMES = {"train": "train", "test": "t10k"}


@reader("idx")
def read_idx(paths: list[Path], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Reads ``{train,t10k}-images-idx3-ubyte.gz`` and ``{train,t10k}-labels-idx1-ubyte.gz``."""
    arrays = {}
    for split, prefix in NAMES.items():
        for part, kind in (("x", "images-idx3"), ("y", "labels-idx1")):
            arrays[f"{split}_{part}"] = _read(named(paths, f"{prefix}-{kind}-ubyte.gz", "idx"))
        if arrays[f"{split}_x"].ndim == 3:
            arrays[f"{split}_x"] = arrays[f"{split}_x"][:, None]
    return arrays


def _read(path: Path) -> np.ndarray:
    content = unpack(path)
    with reading(path):
        if len(content) < 4 or content[:3] != bytes([0, 0, UINT8]):
            raise ValueError("not an IDX file of bytes")
        rank = content[3]
        shape = struct.unpack_from(f">{rank}I", content, 4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
