"""The IDX format of MNIST: gzip-compressed big-endian arrays with their shape in front."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from dmcore.errors import UserError
from dmcore.files import sha256
from dmcore.registries import reader

UINT8 = 0x08
LIMIT = 256 * 2**20  # bytes one file may unpack to


@reader("idx")
def read_idx_folder(folder: Path, pinned: dict[str, str]) -> dict[str, np.ndarray]:
    """Reads the four files of an MNIST-like set.

    Args:
        folder: where ``<name>.gz`` lies for each name.
        pinned: SHA-256 of each file's decompressed content, by name.

    Returns:
        images (N, 1, H, W) and labels (N,), both uint8, of ``train`` and ``test``.

    Raises:
        UserError: a file is missing, damaged, or not the one that is pinned.
    """
    arrays = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = _read(folder, f"{prefix}-images-idx3-ubyte", pinned)
        labels = _read(folder, f"{prefix}-labels-idx1-ubyte", pinned)
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise UserError(f"{folder}: {split} has images {images.shape} and labels {labels.shape}")
        arrays[f"{split}_x"], arrays[f"{split}_y"] = images[:, None], labels
    return arrays


def _read(folder: Path, name: str, pinned: dict[str, str]) -> np.ndarray:
    path = folder / f"{name}.gz"
    try:
        with gzip.open(path) as file:
            content = file.read(LIMIT + 1)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: put {name}.gz into {folder}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): put a fresh copy there") from error
    if name not in pinned:
        raise UserError(f"{path}: the config pins no sha256 for '{name}'")
    if sha256(content) != pinned[name]:
        raise UserError(f"{path} is not the pinned file (sha256 {sha256(content)[:12]}…): put a fresh copy there")
    zeros, kind, rank = struct.unpack(">HBB", content[:4])
    if zeros != 0 or kind != UINT8:
        raise UserError(f"{path} is not an IDX file of bytes")
    shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
