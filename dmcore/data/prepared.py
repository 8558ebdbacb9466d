"""The prepared form of a data set, and the test points that all comparisons share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmcore import tensorfile
from dmcore.errors import UserError

KIND = "dmcore.images"
NEEDED = (
    "a data set that `dmcore data` prepared: images of your own (NPZ, Parquet, IDX) are named in the config and "
    "prepared from there (CONTRIBUTING.md, Add a data set); certify, attack, radius and bracket take x and y as *.npz"
)


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W), uint8 or float32 in [0, 1], and labels (N,) int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> Split:
        """The whole split on a device."""
        return Split(self.x.to(device), self.y.to(device))


@dataclass(frozen=True)
class ImageSet:
    """A prepared data set; ``info`` tells its name, variant, source, hash, shape and number of classes.

    ``validation`` is the part of the training set that the config holds out, and then no part of ``train``.
    """

    train: Split
    test: Split
    info: dict[str, Any]
    validation: Split | None = None

    def to(self, device: torch.device) -> ImageSet:
        """The whole set on a device."""
        held = None if self.validation is None else self.validation.to(device)
        return ImageSet(self.train.to(device), self.test.to(device), self.info, held)


def load_images(path: Path, name: str | None = None) -> ImageSet:
    """Reads a prepared file; refuses one that is truncated, altered or of another kind.

    ``info["sha256"]`` is the hash of all images and labels, which a source's ``content`` in the config pins.

    Args:
        name: the data set that it must be, as the config names it; None for any.
    """
    tensors, meta = tensorfile.load(path, KIND, NEEDED)
    info = json.loads(meta["info"]) | {"sha256": meta["sha256"]}
    if name not in (None, info["name"]):
        raise UserError(f"{path} is the data set '{info['name']}', but the model is of '{name}'")
    train, test = (Split(tensors[f"{s}_x"], tensors[f"{s}_y"].long()) for s in ("train", "test"))
    if "validation" not in info:
        return ImageSet(train, test, info)
    held = held_out(len(train), tensors.get("train_group"), **info["validation"])
    return ImageSet(Split(train.x[~held], train.y[~held]), test, info, Split(train.x[held], train.y[held]))


def held_out(total: int, groups: Tensor | None, *, share: float, seed: int, by: str) -> Tensor:
    """Which training points form the validation set, as a mask (total,).

    Args:
        total: how many training points there are.
        groups: each point's group (total,), for ``by="track"``: the frames of a track are near copies of each other.
        share: the part of the points, or of the tracks, that is held out; rounded to a whole number of them.
        seed: of the random choice.
        by: ``point`` or ``track``.

    Raises:
        UserError: there are no tracks; one of the parts would be empty.
    """
    if by == "track" and groups is None:
        raise UserError("validation by track, but this data set's source names no tracks: use 'by: point'")
    group = groups.numpy() if by == "track" and groups is not None else np.arange(total)
    distinct = np.unique(group)
    count = round(share * len(distinct))
    if not 0 < count < len(distinct):
        raise UserError(f"a validation share of {share} of {len(distinct)} {by}s leaves a part empty")
    chosen = np.random.default_rng(seed).permutation(distinct)[:count]
    return torch.from_numpy(np.isin(group, chosen))


DEFAULT_POINTS = 200


def pixels(x: Tensor) -> Tensor:
    """uint8 images as float32 pixels in [0, 1]; float32 ones as they are."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


def test_points(total: int, count: int | None, seed: int) -> list[int]:
    """The indices of ``count`` randomly selected test points, the same for every model and certifier.

    A larger count keeps the points of a smaller one, as they are the first of one random order. Without a count 200,
    or all where there are fewer.

    Raises:
        UserError: more points asked for than there are.
    """
    count = min(DEFAULT_POINTS, total) if count is None else count
    if not 1 <= count <= total:
        raise UserError(f"{count} test points asked for, but the test set has {total}")
    return np.random.default_rng(seed).permutation(total)[:count].tolist()
