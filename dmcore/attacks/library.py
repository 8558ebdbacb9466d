"""The attacks of the adversarial-robustness-toolbox (ART), an optional package, in the order of AutoAttack.

Croce & Hein 2020: APGD on cross-entropy, APGD on the difference of logits ratio, and Square, which needs no gradients.
ART's own ``AutoAttack`` is not used: it counts inputs whose distance is up to 1e-4 too large, and needs a package that
ART does not install.
"""

from __future__ import annotations

import copy
import logging
import math
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from dmcore.attacks.best import BestAdversarial
from dmcore.errors import UserError, nearest

ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}
"""ART's names for norms."""

SMALLEST_SIDE = 20
"""In pixels: the squares of Square's first iterations do not fit into images that are much smaller."""


def library_attacks(
    net: nn.Module, x: Tensor, y: Tensor, best: BestAdversarial, seed: int, restarts: int, steps: int
) -> None:
    """Updates ``best`` by each attack on the unbroken points; Square may make 10 times ``steps`` queries."""
    check_library(best.norm)
    if not math.isfinite(best.limits[1] - best.limits[0]):
        raise UserError("the attack 'auto' stays in the inputs' range: leave clip_input on, or use 'pgd'")
    evasion, classification = _art()
    if not best.eps:
        return
    with _apart(seed):
        model = classification.PyTorchClassifier(
            model=copy.deepcopy(net).float(),  # ART writes gradients into it
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(x.shape[1:]),
            nb_classes=len(net(x[:1])[0]) if len(x) else 0,
            clip_values=best.limits,
            device_type="gpu" if x.is_cuda else "cpu",
        )
        shared = {"norm": ORDERS[best.norm], "eps": float(best.eps), "verbose": False}
        descent = {"eps_step": 2 * float(best.eps), "max_iter": steps, "nb_random_init": restarts, "batch_size": 500}
        apgd, square = evasion.AutoProjectedGradientDescent, evasion.SquareAttack
        attacks = [(apgd, {"loss_type": "cross_entropy", **descent})]
        if model.nb_classes > 2:  # the ratio has the third largest logit below its line
            attacks.append((apgd, {"loss_type": "difference_logits_ratio", **descent}))
        if best.norm != "l1" and x.dim() == 4 and min(x.shape[2:]) >= SMALLEST_SIDE:
            attacks.append((square, {"max_iter": 10 * steps, "p_init": 0.8, "nb_restarts": 1}))
        for kind, options in attacks:
            points = best.unbroken
            if len(points):
                attacked = x[points].float().cpu().numpy(), y[points].cpu().numpy()
                tried = kind(model, **shared, **options).generate(*attacked)
                best.update(points, torch.from_numpy(tried).to(x.device))


def check_library(norm: str) -> None:
    """Refuses a norm of which ART has no attacks, and that it is not installed."""
    if norm not in ORDERS:
        raise UserError(f"the attack 'auto' has no norm '{norm}': {nearest(norm, ORDERS)}")
    _art()


def _art() -> tuple[ModuleType, ModuleType]:
    """ART's modules of attacks and of classifiers."""
    try:
        with _apart():
            from art.attacks import evasion
            from art.estimators import classification
    except ImportError as error:
        raise UserError(
            "the attack 'auto' needs the adversarial-robustness-toolbox: pip install 'doublemargin[attacks]'"
        ) from error
    return evasion, classification


@contextmanager
def _apart(seed: int = 0) -> Iterator[None]:
    """Without what ART says on the way, but its errors; the global random numbers, which it draws, are seeded.

    Afterwards they are as they were.
    """
    logger = logging.getLogger("art")
    level, python, numpy = logger.level, random.getstate(), np.random.get_state()
    logger.setLevel(logging.ERROR)
    random.seed(seed)
    np.random.seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        random.setstate(python)
        np.random.set_state(numpy)
