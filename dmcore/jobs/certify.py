"""Certify one model's test points."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from dmcore.certify import certify_points
from dmcore.eps import Eps
from dmcore.files import write_json
from dmcore.jobs.subject import load_subject, numbers
from dmcore.norms import check_radius
from dmcore.progress import progress


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
    subject = load_subject(model, data, points, points_seed, device)
    for eps in progress(radii, len(radii), f"{subject.path} {certifier}"):
        started = time.perf_counter()
        verdicts = certify_points(
            subject.net, subject.x, subject.y, float(eps), norm, certifier, clip_input, intersect_ibp
        )
        certified = verdicts.certified.tolist()
        write_json(
            out / f"{eps.id}.json",
            {
                **subject.model,
                "certifier": certifier,
                "norm": norm,
                "eps": eps.id,
                "clip_input": clip_input,
                "intersect_ibp": intersect_ibp,
                "points": points,
                "points_seed": points_seed,
                "certified_accuracy": sum(certified) / points,
                "seconds": round(time.perf_counter() - started, 3),
                **subject.points,
                "predicted": verdicts.predicted.tolist(),
                "margins": numbers(verdicts.margin),
                "certified": certified,
                "rechecked": int(verdicts.rechecked.sum()),
            },
        )
