"""The prepared form of a data set, and the test points that all comparisons share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmcore import tensorfile
from dmcore.errors import UserError
from dmcore.registries import reader

KIND = "dmcore.images"


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W) uint8 and labels (N,) int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> Split:
        """The whole split on a device."""
        return Split(self.x.to(device), self.y.to(device))


@dataclass(frozen=True)
class ImageSet:
    """A prepared data set; ``info`` tells its name, variant, source hash, shape and number of classes."""

    train: Split
    test: Split
    info: dict[str, Any]


def prepare(name: str, spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Reads a data set from its source, checks it, and writes the prepared file.

    Args:
        name: the data set's name in the config.
        spec: its entry there: ``format``, ``source``, ``sha256``, ``shape``, ``classes``, ``variant``.
        out: the file to write.

    Returns:
        What the file says of itself.

    Raises:
        UserError: a source file is missing or damaged, or its content does not fit ``shape`` or ``classes``.
    """
    arrays = reader.get(spec["format"])(Path(spec["source"]), dict(spec["sha256"]))
    shape, classes = tuple(spec["shape"]), spec["classes"]
    for split in ("train", "test"):
        found, labels = arrays[f"{split}_x"].shape[1:], arrays[f"{split}_y"]
        if found != shape:
            raise UserError(f"data set '{name}': images are {found}, the config says shape {shape}")
        if int(labels.max()) >= classes:
            raise UserError(f"data set '{name}': label {labels.max()}, but the config says {classes} classes")
    info = {
        "name": name,
        "variant": spec["variant"],
        "shape": list(shape),
        "classes": classes,
        "train": len(arrays["train_x"]),
        "test": len(arrays["test_x"]),
    }
    tensors = {key: torch.from_numpy(value.copy()) for key, value in arrays.items()}
    tensorfile.save(out, KIND, tensors, {"info": json.dumps(info)})
    return info


def load_images(path: Path) -> ImageSet:
    """Reads a prepared file; refuses one that is truncated, altered or of another kind.

    ``info["sha256"]`` is the hash of the images and labels.
    """
    tensors, meta = tensorfile.load(path, KIND)
    info = json.loads(meta["info"]) | {"sha256": meta["sha256"]}
    splits = (Split(tensors[f"{s}_x"], tensors[f"{s}_y"].long()) for s in ("train", "test"))
    return ImageSet(*splits, info)


def test_points(total: int, count: int, seed: int) -> list[int]:
    """The indices of ``count`` randomly selected test points, the same for every model and certifier.

    A larger count keeps the points of a smaller one, as they are the first of one random order.

    Raises:
        UserError: more points asked for than there are.
    """
    if not 1 <= count <= total:
        raise UserError(f"{count} test points asked for, but the test set has {total}")
    return np.random.default_rng(seed).permutation(total)[:count].tolist()
