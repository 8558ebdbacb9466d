"""Attack one model's test points: what stands beside their certificates."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

import torch

from dmcore.attacks.evaluate import attack_points, check_attack
from dmcore.eps import Eps
from dmcore.files import write_json
from dmcore.norms import check_radius
from dmcore.progress import progress
from doublemargin.experiment.jobs.subject import load_subject, numbers


def attack_job(
    model: Path,
    data: Path,
    attack: str,
    norm: str,
    points: int,
    points_seed: int,
    eps_ids: list[str],
    seed: int,
    restarts: int,
    steps: int,
    out: Path,
    device: torch.device,
) -> None:
    """Attacks the shared test points at each ε; writes ``out/<ε>.json``, with the fields of a certification's file.

    Each ε is searched by itself: no file depends on what else was asked for.
    """
    radii = [Eps.parse(e) for e in eps_ids]  # a bad one is refused before any work
    for eps in radii:
        check_radius(norm, float(eps))
    check_attack(attack, norm)
    subject = load_subject(model, data, points, points_seed, device)
    for eps in progress(radii, len(radii), f"{subject.path} {attack}"):
        started = time.perf_counter()
        options = {"seed": seed, "restarts": restarts, "steps": steps}
        found = attack_points(subject.net, subject.x, subject.y, float(eps), norm, attack, **options)
        broken = found.broken.tolist()
        write_json(
            out / f"{eps.id}.json",
            {
                **subject.model,
                "attack": attack,
                "library": f"adversarial-robustness-toolbox {_art()}" if attack == "auto" else None,
                **options,
                "norm": norm,
                "eps": eps.id,
                "clip_input": True,
                "points": points,
                "points_seed": points_seed,
                "robust_accuracy_upper_bound": 1 - sum(broken) / points,
                "seconds": round(time.perf_counter() - started, 3),
                **subject.points,
                "predicted": found.predicted.tolist(),
                "margins": numbers(found.margin),
                "broken": broken,
            },
        )


def _art() -> str:
    return version("adversarial-robustness-toolbox")
