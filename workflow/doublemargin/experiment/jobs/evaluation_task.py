"""A trained model and the test points that a job looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmcore.checkpoint import load_model
from dmcore.data import load_images, pixels, test_points
from dmcore.errors import UserError
from dmcore.nets import Network
from doublemargin.experiment.provenance import provenance
from doublemargin.records.columns import VALIDATION


@dataclass(frozen=True)
class EvaluationTask:
    """What a job works on.

    Attributes:
        net: in evaluation mode on the job's device.
        x, y: the shared test points there: pixels in [0, 1], (B, C, H, W) float32, and labels (B,).
        path: the model's, as in ``results/``.
        model: what a record says of the model, in its own order.
        points: what a record says of the points.
        provenance: what a record says of how it was made.
    """

    net: Network
    x: Tensor
    y: Tensor
    path: str
    model: dict[str, Any]
    points: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def arch(self) -> str:
        """The name of its architecture; empty for a network of a user's own."""
        return "".join(self.path.split("/")[2:3])


def load_subject(
    model: Path, data: Path, points: int | None, points_seed: int, device: torch.device, split: str = "test"
) -> EvaluationTask:
    """Loads a model and the shared points of its data set, of the test set or of the ``validation`` split.

    Raises:
        UserError: of the two files; the data set has no such split.
    """
    net, spec, weights = load_model(model, device)
    images = load_images(data, spec.dataset_name)
    part, info = images.test, images.info
    if split == "validation":
        if images.validation is None:
            raise UserError(f"{data} has no validation split: give the data set one in the config")
        part, info = images.validation, info | {"variant": info["variant"] + VALIDATION}
    indices = test_points(len(part), points, points_seed)
    x, y = pixels(part.x[indices].to(device)), part.y[indices].to(device)
    return EvaluationTask(
        net,
        x,
        y,
        spec.path,
        {"model": spec.path, "spec_hash": spec.hash, "model_sha256": weights},
        {"data": info, "indices": indices, "labels": y.tolist()},
        provenance(device),
    )


def numbers(values: Tensor) -> list[float | None]:
    """As JSON holds them: seven digits, and null for what is no finite number."""
    return [float(f"{v:.7g}") if abs(v) < float("inf") else None for v in values.tolist()]
