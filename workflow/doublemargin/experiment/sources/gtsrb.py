"""GTSRB's official archives: PPM images of many sizes, in folders by class, and a table of the test labels."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from dmcore.errors import UserError
from doublemargin.experiment.registries import reader
from doublemargin.experiment.sources.reading import PIXELS, decode, limited, reading

TRACK = re.compile(r"/(\d{5})/(\d{5})_\d{5}\.ppm$")
"""A training image's class and track."""
TEST = re.compile(r"/Final_Test/Images/(\d{5}\.ppm)$")
TABLE = "GT-final_test.csv"
MEMBER_LIMIT = 3 * PIXELS + 1024


@reader("gtsrb-zip")
def read_gtsrb(paths: list[Path], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Reads the archives of training images, test images and test labels, in this order; no file is extracted.

    Each whole image is resized to ``shape`` with Pillow's bilinear filter. ``train_group`` tells the tracks.
    """
    if len(paths) != 3:
        raise UserError("the format gtsrb-zip needs three files: training images, test images, test labels")
    training, test, table = paths
    train_names, train_x = _images(training, TRACK, shape)
    test_names, test_x = _images(test, TEST, shape)
    labels = _labels(table)
    with reading(table):
        test_y = [labels[TEST.search(name)[1]] for name in test_names]
    return {
        "train_x": train_x,
        "train_y": np.array([int(TRACK.search(name)[1]) for name in train_names]),
        "train_group": tracks(train_names),
        "test_x": test_x,
        "test_y": np.array(test_y),
    }


def tracks(paths: list[str]) -> np.ndarray | None:
    """One number a track (10⁵ class + track) for each training image; None where the paths name no tracks."""
    found = [TRACK.search(path or "") for path in paths]
    return np.array([int(m[1]) * 10**5 + int(m[2]) for m in found], np.int64) if found and all(found) else None


def _images(path: Path, pattern: re.Pattern[str], shape: tuple[int, ...]) -> tuple[list[str], np.ndarray]:
    """The images whose names match, in the order of their names, as (N, C, H, W)."""
    channels, height, width = shape
    with reading(path), zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if pattern.search(name))
        if not names:
            raise ValueError("it has no images of this set")
        images = np.empty((len(names), height, width, channels), np.uint8)
        for i, name in enumerate(names):
            with archive.open(name) as member:
                image = decode(limited(member, MEMBER_LIMIT), channels)
            images[i] = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).reshape(images[i].shape)
    return names, images.transpose(0, 3, 1, 2)


def _labels(path: Path) -> dict[str, int]:
    """The class of each test image by its name."""
    with reading(path), zipfile.ZipFile(path) as archive, archive.open(TABLE) as member:
        lines = io.StringIO(limited(member, 2**24).decode("ascii"))
        return {row["Filename"]: int(row["ClassId"]) for row in csv.DictReader(lines, delimiter=";")}
