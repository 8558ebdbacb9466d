"""The certified radii of one model's test points."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from dmcore.files import write_json
from dmcore.norms import check_radius
from dmcore.radius import certified_radius
from doublemargin.experiment.jobs.evaluation_task import load_subject, numbers


def radius_job(
    model: Path,
    data: Path,
    certifier: str,
    norm: str,
    points: int,
    points_seed: int,
    upper: float | None,
    tolerance: float,
    clip_input: bool,
    out: Path,
    device: torch.device,
) -> dict[str, Any]:
    """Bisects for every point's radius; writes and returns their mean, median and each of them.

    Misclassified points have no radius: they are counted, and left out of mean and median, as in CNN-Cert's tables.
    """
    if upper is not None:
        check_radius(norm, upper)  # a bad one is refused before any work
    subject = load_subject(model, data, points, points_seed, device)
    started = time.perf_counter()
    radii = certified_radius(subject.net, subject.x, subject.y, norm, certifier, clip_input, upper, tolerance)
    kept = radii.radius[~radii.radius.isnan()]
    record = {
        **subject.model,
        "certifier": certifier,
        "norm": norm,
        "clip_input": clip_input,
        "upper": upper,
        "tolerance": tolerance,
        "points": points,
        "points_seed": points_seed,
        "mean_radius": kept.mean().item() if len(kept) else None,
        "median_radius": kept.quantile(0.5).item() if len(kept) else None,
        "left_out": points - len(kept),
        "seconds": round(time.perf_counter() - started, 3),
        "provenance": subject.provenance,
        **subject.points,
        "radii": numbers(radii.radius),
        "refused": numbers(radii.refused),
    }
    write_json(out, record)
    return record
