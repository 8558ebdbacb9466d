"""The binary form of CIFAR-10: records of a label byte and the planes of an image, in batches within one archive."""

from __future__ import annotations

import math
import tarfile
from pathlib import Path

import numpy as np

from doublemargin.experiment.registries import reader
from doublemargin.experiment.sources.reading import LIMIT, limited, reading

FOLDER = "cifar-10-batches-bin"
BATCHES = {"train": [f"{FOLDER}/data_batch_{i}.bin" for i in range(1, 6)], "test": [f"{FOLDER}/test_batch.bin"]}


@reader("cifar-binary")
def read_cifar_binary(paths: list[Path], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Reads the batches of ``cifar-10-binary.tar.gz`` in memory; no file is extracted."""
    wanted = {name for names in BATCHES.values() for name in names}
    found: dict[str, np.ndarray] = {}
    (path,) = paths
    with reading(path), tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if member.name in wanted and member.isfile():
                content = limited(archive.extractfile(member), LIMIT)
                found[member.name] = np.frombuffer(content, np.uint8).reshape(-1, 1 + math.prod(shape))
        if missing := sorted(wanted - found.keys()):
            raise ValueError(f"it has no {missing[0]}")
    arrays = {}
    for split, names in BATCHES.items():
        records = np.concatenate([found[name] for name in names])
        arrays |= {f"{split}_x": records[:, 1:].reshape(-1, *shape), f"{split}_y": records[:, 0]}
    return arrays
