"""Parquet shards with encoded images, as on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from dmcore.errors import UserError
from doublemargin.experiment.registries import reader
from doublemargin.experiment.sources.gtsrb import tracks
from doublemargin.experiment.sources.reading import decode, reading

IMAGE_COLUMNS = ("image", "img")
BATCH = 64  # rows in memory at once: a small file can hold one large value a million times


@reader("parquet")
def read_parquet(paths: list[Path], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Reads shards ``train*.parquet`` and ``test*.parquet`` in the order given.

    Columns: ``image`` or ``img`` (struct of ``bytes``, an encoded image of ``shape``, and ``path``) and ``label``.
    If every training path ends in GTSRB's ``CCCCC/TTTTT_FFFFF.ppm``, ``train_group`` tells the tracks.
    """
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        shards = [_read(path, shape) for path in paths if path.name.startswith(split)]
        if not shards:
            raise UserError(f"the format parquet needs a file {split}*.parquet: name it among the source's files")
        images, labels, names = zip(*shards, strict=True)
        arrays |= {f"{split}_x": np.concatenate(images), f"{split}_y": np.concatenate(labels)}
        if split == "train" and (groups := tracks([name for shard in names for name in shard])) is not None:
            arrays["train_group"] = groups
    return arrays


def _read(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """A shard's images (N, C, H, W), labels (N,) and paths."""
    channels, height, width = shape
    with reading(path), pq.ParquetFile(path) as file:
        column = next((c for c in IMAGE_COLUMNS if c in file.schema_arrow.names), None)
        if column is None:
            raise ValueError(f"no column {' or '.join(IMAGE_COLUMNS)}")
        images = np.empty((file.metadata.num_rows, height, width, channels), np.uint8)
        labels, names = [], []
        for batch in file.iter_batches(BATCH, columns=[column, "label"]):
            for row in batch.column(column).to_pylist():
                image = decode(row["bytes"], channels)
                if image.size != (width, height):
                    raise ValueError(f"image {len(names)} is {image.size}, the config says {(width, height)}")
                images[len(names)] = np.asarray(image).reshape(images.shape[1:])
                names.append(row["path"])
            labels.append(batch.column("label").to_numpy(zero_copy_only=False))
        return images.transpose(0, 3, 1, 2), np.concatenate(labels or [np.empty(0, np.int64)]), names
