"""Attack one model's test points: what stands beside their certificates."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dmcore.attacks.evaluate import attack_points, check_attack
from dmcore.eps import Eps
from dmcore.files import digest
from dmcore.norms import check_radius
from dmcore.progress import progress
from doublemargin.experiment.jobs.evaluation_task import EvaluationTask, numbers
from doublemargin.experiment.source import code_hash
from doublemargin.records.cells import read_cells, write_cells

ART = "adversarial-robustness-toolbox"


def attack_job(
    subject: EvaluationTask,
    attack: str,
    norm: str,
    points_seed: int,
    eps_ids: list[str],
    seed: int,
    restarts: int,
    steps: int,
    out: Path | None = None,
) -> dict[str, Any]:
    """Attacks the points at each ε; returns and writes a record like a certification's, and keeps its cells likewise.

    Each ε is searched by itself: no cell depends on what else was asked for.
    """
    radii = [Eps.parse(e) for e in eps_ids]  # a bad one is refused before any work
    for eps in radii:
        check_radius(norm, float(eps))
    check_attack(attack, norm)
    points = len(subject.y)
    options = {"seed": seed, "restarts": restarts, "steps": steps}
    shared = {
        **subject.model,
        "attack": attack,
        "library": f"{ART} {version(ART)}" if attack == "auto" else None,
        **options,
        "norm": norm,
        "clip_input": True,
        "points": points,
        "points_seed": points_seed,
    }
    code = code_hash("doublemargin.experiment.jobs.attack", uses=[attack, subject.arch])
    shared["made_from"] = digest([shared, subject.points["data"], code])
    cells = read_cells(out, shared["made_from"])
    left = [eps for eps in radii if eps.id not in cells]
    for eps in progress(left, len(left), f"{subject.path} {attack}, ε"):
        started = time.perf_counter()
        found = attack_points(subject.net, subject.x, subject.y, float(eps), norm, attack, **options)
        broken = found.broken.tolist()
        cells[eps.id] = {
            "robust_accuracy_upper_bound": 1 - sum(broken) / points,
            "seconds": round(time.perf_counter() - started, 3),
            "provenance": subject.provenance,
            "predicted": found.predicted.tolist(),
            "margins": numbers(found.margin),
            "broken": broken,
        }
    return write_cells(out, shared | subject.points, cells)
