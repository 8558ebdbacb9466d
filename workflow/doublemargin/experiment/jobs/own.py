"""A network and points of a user's own, each as a file: ONNX, and an NPZ archive of x and y."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmcore import tensorfile
from dmcore.checkpoint import load_model
from dmcore.data import load_images, test_points
from dmcore.errors import UserError
from dmcore.extras.exchange.from_onnx import load_onnx
from dmcore.nets import Network
from dmcore.nets.network import Shape
from dmcore.perturbation.inputs import checked_ball, checked_labels
from dmcore.recognise import kind_of
from doublemargin.experiment.jobs.evaluation_task import EvaluationTask
from doublemargin.experiment.provenance import provenance

MODEL, DATA = ".onnx", ".npz"
HOW = "numpy.savez('mine.npz', x=x, y=y) writes one, x (N, C, H, W) or (N, F)"


def load_own(model: Path, data: Path, points: int | None, points_seed: int, device: torch.device) -> EvaluationTask:
    """A network and points of which at least one is a user's own.

    Args:
        model: an ONNX file, or a model that ``dmcore train`` wrote.
        data: an NPZ archive: ``x`` (N, C, H, W) or (N, F), floats in [0, 1] or uint8, and ``y`` (N,), whole numbers; or
            a prepared data set, of which the test points are taken. Inputs are rounded to the network's type.

    Raises:
        UserError: a file that cannot be read; inputs or labels out of their range or of another shape than the
            network's.
    """
    net, shape, about = _network(model)
    x, y, info = _points(data)
    like = next(iter(net.state_dict().values()), torch.empty(0))
    x = x.to(like.dtype).div(255) if x.dtype == torch.uint8 else x.to(like.dtype)
    if tuple(x.shape[1:]) != shape:
        raise UserError(f"{data}: x has shape {('N', *x.shape[1:])}, but the network takes {('N', *shape)}")
    try:
        ball = checked_ball(x, 0.0)
        y = checked_labels(y, ball.x, net.shapes(ball.x)[net.output])
    except UserError as error:
        raise UserError(f"{data}: {error}") from error
    indices = test_points(len(x), points, points_seed)
    return EvaluationTask(
        net.to(device),
        x[indices].to(device),
        y[indices].to(device),
        about["model"],
        about,
        {"data": info, "indices": indices, "labels": y[indices].tolist()},
        provenance(device),
    )


def _network(path: Path) -> tuple[Network, Shape, dict[str, Any]]:
    """The network, the shape of its input, and what a record says of it."""
    if path.suffix != MODEL:
        net, spec, weights = load_model(path)
        about = {"model": spec.path, "spec_hash": spec.hash, "model_sha256": weights}
        return net, tuple(spec.dataset["shape"]), about
    net, shape, content = load_onnx(path)
    return net, shape, {"model": path.name, "spec_hash": "", "model_sha256": content}


def _points(path: Path) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """All inputs and labels, and what a record says of them."""
    if path.suffix != DATA:
        images = load_images(path)
        return images.test.x, images.test.y, images.info
    if not path.exists():
        raise UserError(f"{path} does not exist")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is {kind_of(path)}, not an NPZ archive: {HOW}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in ("x", "y") if name not in archive]
            if missing:
                raise UserError(f"{path} has no {missing[0]}, it has {', '.join(archive) or 'nothing'}: {HOW}")
            x, y = archive["x"], archive["y"]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged, or holds objects ({' '.join(str(error).split())[:120]}): {HOW}") from error
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise UserError(f"{path}: x must be floats in [0, 1] or uint8, got {x.dtype}")
    if x.ndim < 2 or not x.size:
        raise UserError(f"{path}: x has shape {x.shape}: {HOW}")
    if y.dtype.kind not in "iu":
        raise UserError(f"{path}: y must be whole numbers, the classes from 0 on, got {y.dtype}")
    tensors = {
        "x": torch.from_numpy(np.ascontiguousarray(x, dtype=None if x.dtype == np.uint8 else np.float64)),
        "y": torch.from_numpy(y.astype(np.int64)),
    }
    info = {"name": path.name, "shape": list(x.shape[1:]), "sha256": tensorfile.content_hash(tensors)}
    return tensors["x"], tensors["y"], info
