"""A test point as it is drawn, with its certified radius and its smallest adversarial example."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PicturedPoint:
    """A point and what is known about its ball.

    Attributes:
        image, adversarial: (H, W, C) with C = 1 or 3, pixels in [0, 1]; without an adversarial example both are alike.
        label, predicted: its class, and the network's.
        radius: the certified radius; NaN where it is misclassified.
        eps: the smallest ε at which the attack broke it; 0 where it is misclassified, +inf where nothing was found.
        adversarial_class: what the network takes the adversarial example for.
    """

    image: np.ndarray
    adversarial: np.ndarray
    label: int
    predicted: int
    radius: float
    eps: float
    adversarial_class: int
