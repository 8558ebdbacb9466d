"""Certify one model's test points."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch

from dmcore.certify import certify_points
from dmcore.checkpoint import load_model
from dmcore.data import load_images, test_points
from dmcore.eps import Eps
from dmcore.files import write_json
from dmcore.norms import check_radius
from dmcore.progress import progress
from dmcore.provenance import provenance


def certify_job(
    model: Path,
    data: Path,
    certifier: str,
    norm: str,
    points: int,
    points_seed: int,
    eps_ids: list[str],
    clip_input: bool,
    intersect_ibp: bool,
    out: Path,
    device: torch.device,
) -> None:
    """Certifies the shared test points at each ε; writes ``out/<ε>.json`` with every point's verdict and margin."""
    radii = [Eps.parse(e) for e in eps_ids]  # a bad one is refused before any work
    for eps in radii:
        check_radius(norm, float(eps))
    net, spec, weights = load_model(model, device)
    images = load_images(data)
    indices = test_points(len(images.test), points, points_seed)
    x = images.test.x[indices].to(device).float().div(255)
    y = images.test.y[indices].to(device)
    made = provenance(device)
    for eps in progress(radii, len(radii), f"{spec.path} {certifier}"):
        started = time.perf_counter()
        verdicts = certify_points(net, x, y, float(eps), norm, certifier, clip_input, intersect_ibp)
        certified = verdicts.certified.tolist()
        write_json(
            out / f"{eps.id}.json",
            {
                "model": spec.path,
                "spec_hash": spec.hash,
                "model_sha256": weights,
                "certifier": certifier,
                "norm": norm,
                "eps": eps.id,
                "clip_input": clip_input,
                "intersect_ibp": intersect_ibp,
                "points": points,
                "points_seed": points_seed,
                "certified_accuracy": sum(certified) / points,
                "seconds": round(time.perf_counter() - started, 3),
                "data": images.info,
                "provenance": made,
                "indices": indices,
                "labels": y.tolist(),
                "predicted": verdicts.predicted.tolist(),
                "margins": [float(f"{m:.7g}") if math.isfinite(m) else None for m in verdicts.margin.tolist()],
                "certified": certified,
                "rechecked": int(verdicts.rechecked.sum()),
            },
        )
