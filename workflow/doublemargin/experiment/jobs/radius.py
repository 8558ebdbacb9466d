"""The certified radii of one model's test points."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from dmcore.linear.chunks import point_chunk
from dmcore.norms import check_radius
from dmcore.progress import progress_bar
from dmcore.radius import Radii, certified_radius
from dmcore.registries import certifier as registry
from doublemargin.experiment.jobs.evaluation_task import EvaluationTask, numbers
from doublemargin.files import write_json


def radius_job(
    subject: EvaluationTask,
    certifier: str,
    norm: str,
    points_seed: int,
    upper: float | None,
    tolerance: float,
    clip_input: bool,
    out: Path | None = None,
    time_limit: float | None = None,
) -> dict[str, Any]:
    """Bisects for every point's radius; returns, and writes to ``out``, their mean, median and each of them.

    Misclassified points have no radius: they are counted, and left out of mean and median, as in CNN-Cert's tables.

    Args:
        time_limit: seconds of a point at each ε that is tried, for certifiers that take one.
    """
    if upper is not None:
        check_radius(norm, upper)  # a bad one is refused before any work
    started, points = time.perf_counter(), len(subject.y)
    size = point_chunk(subject.net, subject.x)
    limit = {} if time_limit is None else {"time_limit": time_limit}
    bound = registry.get(certifier)(**limit)
    found = []
    with progress_bar(points, f"{subject.path} {certifier}, points") as bar:
        for x, y in zip(subject.x.split(size), subject.y.split(size), strict=True):
            found.append(certified_radius(subject.net, x, y, norm, bound, clip_input, upper, tolerance))
            bar.update(len(y))
    radii = Radii(torch.cat([part.radius for part in found]), torch.cat([part.refused for part in found]))
    kept = radii.radius[~radii.radius.isnan()]
    record = {
        **subject.model,
        "certifier": certifier,
        "norm": norm,
        "clip_input": clip_input,
        "upper": upper,
        "tolerance": tolerance,
        **limit,
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
    if out is not None:
        write_json(out, record)
    return record
