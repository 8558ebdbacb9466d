"""Some test points of a model, each with its certified radius and the smallest adversarial example that was found."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from dmcore.attacks.evaluate import check_attack
from dmcore.attacks.smallest import smallest_adversarial
from dmcore.errors import UserError
from dmcore.progress import progress
from dmcore.radius import certified_radius
from doublemargin.experiment.jobs.evaluation_task import EvaluationTask
from doublemargin.experiment.pictured import PicturedPoint

TOLERANCE = 0.02


def picture_job(
    subject: EvaluationTask,
    certifier: str,
    norm: str,
    clip_input: bool,
    attack: str,
    seed: int,
    restarts: int,
    steps: int,
) -> list[PicturedPoint]:
    """Bisects for both sides of every point, its certified radius and its smallest adversarial example.

    Raises:
        UserError: the inputs are no images; an attack without that norm.
    """
    shape = tuple(subject.x.shape[1:])
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UserError(f"pictures are of images, (1 or 3, H, W), but {subject.path} takes {shape}")
    check_attack(attack, norm)
    pictured = []
    for i in progress(range(len(subject.y)), len(subject.y), f"{subject.path}, points"):
        x, y = subject.x[i : i + 1], subject.y[i : i + 1]
        radius = certified_radius(subject.net, x, y, norm, certifier, clip_input, tolerance=TOLERANCE).radius
        broken = smallest_adversarial(
            subject.net, x, y, norm, attack, None, TOLERANCE, seed, restarts, steps, robust_at=radius
        )
        pictured.append(
            PicturedPoint(
                image=_image(x),
                adversarial=_image(broken.inputs),
                label=int(y),
                predicted=int(subject.net(x).argmax()),
                radius=radius.item(),
                eps=broken.eps.item(),
                adversarial_class=int(broken.predicted),
            )
        )
    return pictured


def _image(x: Tensor) -> np.ndarray:
    """(H, W, C), for matplotlib."""
    return x[0].detach().double().cpu().permute(1, 2, 0).numpy()
