"""Write a trained model, and what is certified of it, for other verifiers."""

from __future__ import annotations

from pathlib import Path

import torch

from dmcore.checkpoint import load_model
from dmcore.data import load_images, test_points
from dmcore.eps import Eps
from dmcore.extras.exchange import export_onnx, export_vnnlib, write_instances
from dmcore.extras.exchange.properties import check_box
from dmcore.nets import Network
from dmcore.spec import ModelSpec


def onnx_job(model: Path, out: Path) -> None:
    """Writes the model as an ONNX file that tells where it is from."""
    net, spec, weights = load_model(model)
    _write_onnx(net, spec, weights, out)


def _write_onnx(net: Network, spec: ModelSpec, weights: str, out: Path) -> None:
    about = {"model": spec.path, "spec_hash": spec.hash, "model_sha256": weights}
    export_onnx(net, out, spec.dataset["shape"], about)


@torch.no_grad()
def vnnlib_job(
    model: Path,
    data: Path,
    norm: str,
    points: int | None,
    points_seed: int,
    eps_ids: list[str],
    clip_input: bool,
    timeout: int,
    out: Path,
) -> tuple[int, int]:
    """Writes ``onnx/net.onnx``, a property for each point and ε, and ``instances.csv``, as a benchmark of VNN-COMP.

    The points are those that ``certify`` takes. Those that the net gets wrong are left out, as in VNN-COMP: they are
    not robust at any ε. Returns how many points were written, and of how many.
    """
    check_box(norm)
    radii = [Eps.parse(e) for e in eps_ids]  # a bad one is refused before any work
    net, spec, weights = load_model(model)
    images = load_images(data, spec.dataset_name)
    indices = test_points(len(images.test), points, points_seed)
    _write_onnx(net, spec, weights, out / "onnx/net.onnx")
    x, y = images.test.x[indices].float().div(255), images.test.y[indices]
    right = (torch.cat([net(part) for part in x.split(1000)]).argmax(1) == y).nonzero()[:, 0].tolist()
    instances = []
    for i in right:
        for eps in radii:
            property_file = f"vnnlib/point{indices[i]}_eps{eps.id}.vnnlib"
            export_vnnlib(out / property_file, x[i], int(y[i]), float(eps), norm, spec.dataset["classes"], clip_input)
            instances.append(("onnx/net.onnx", property_file, timeout))
    write_instances(out / "instances.csv", instances)
    return len(right), len(indices)
