"""Rank regularisers at one trained model by Propositions 1 and 2 (§3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dmcore.checkpoint import load_model
from dmcore.data import Split, load_images
from dmcore.eps import Eps
from dmcore.errors import UserError, nearest
from dmcore.extras.propositions.added_loss import AddedLoss
from dmcore.extras.propositions.problem import CURVATURES, Problem, Term
from dmcore.extras.propositions.ranking import BASE, Comparison, Ranking, rank
from dmcore.nets import Network
from dmcore.norms import check_radius
from dmcore.progress import progress
from doublemargin.experiment.config import load_config
from doublemargin.experiment.provenance import provenance
from doublemargin.experiment.resolve import method_spec


@dataclass(frozen=True)
class Settings:
    """What decides a ranking besides the model, the data and the methods.

    Attributes:
        points: how many training points L and all R are means over; ``points_seed`` selects them.
        seed: of each method's random numbers.
        curvature: ``gauss_newton`` or ``hessian``.
        damping: one γ > 0 or several; a ranking for each.
        tolerance, max_steps: of the conjugate gradients.
        float64: compute in float64.
        points_at_once: how many points are in memory together.
    """

    points: int = 500
    points_seed: int = 0
    seed: int = 0
    curvature: str = "gauss_newton"
    damping: Sequence[float] = (0.01,)
    tolerance: float = 1e-3
    max_steps: int = 200
    float64: bool = False
    points_at_once: int = 100


def regularizers_job(
    model: Path,
    data: Path,
    config: Path,
    target: str,
    methods: list[str],
    eps: str | None,
    settings: Settings,
    device: torch.device,
) -> dict[str, Any]:
    """The rankings of some methods' regularisers at a trained model, as a record with its provenance.

    Args:
        config: the config file whose methods are meant, each as it is on the model's data set.
        eps: ε of all R, in pixel scale; None if none of them knows an ε.
    """
    net, spec, weights = load_model(model, device)
    known = load_config(config)
    added = [_added_loss(known, name, spec.dataset_name) for name in dict.fromkeys([target, *methods])]
    radius = _radius(added, eps)
    images = load_images(data, spec.dataset_name)
    problem = _problem(net, images.train, settings, device)
    terms: dict[str, Term] = {BASE: lambda batch: batch.clean_loss, **{term.name: term for term in added}}
    values, gradients = {}, {}
    for name in progress(terms, len(terms), "gradients"):
        values[name], gradients[name] = problem.gradient(terms[name], radius, settings.seed)
        if not gradients[name].isfinite().all():
            raise UserError(f"the gradient of {name} is not finite at these weights")
    curvature = partial(problem.multiply, CURVATURES[settings.curvature])
    rankings = [
        rank(curvature, gradients, target, damping, settings.tolerance, settings.max_steps)
        for damping in settings.damping
    ]
    return {
        "model": spec.path,
        "spec_hash": spec.hash,
        "model_sha256": weights,
        "target": target,
        "eps": Eps.parse(eps).id if eps is not None else "none",
        "settings": asdict(settings),
        "base_loss": values[BASE],
        "compared": {term.name: term.describe() | {"value": values[term.name]} for term in added},
        "data": images.info,
        "provenance": provenance(device),
        "rankings": [_ranking(ranking) for ranking in rankings],
    }


def _added_loss(config: dict[str, Any], method: str, dataset: str) -> AddedLoss:
    if method not in config["methods"]:
        raise UserError(f"the config has no method '{method}': {nearest(method, config['methods'])}")
    return AddedLoss(method_spec(config, method, dataset))


def _radius(added: list[AddedLoss], eps: str | None) -> float:
    """ε as a number, once it is clear that one number serves all."""
    norms = {term.norm: term.name for term in added if term.norm is not None}
    if len(norms) > 1:
        told = ", ".join(f"'{name}' in {norm}" for norm, name in norms.items())
        raise UserError(f"one ε cannot be a radius in several norms ({told}): rank them apart")
    radius = float(Eps.parse(eps)) if eps is not None else 0.0
    for norm, name in norms.items():
        if not radius > 0:
            raise UserError(f"the method '{name}' needs an ε > 0, such as --eps 0.1")
        check_radius(norm, radius)
    return radius


def _problem(net: Network, train: Split, settings: Settings, device: torch.device) -> Problem:
    """The net and the selected training points, in the precision asked for."""
    if settings.points > len(train):
        raise UserError(f"{settings.points} training points asked for, but there are {len(train)}")
    generator = torch.Generator().manual_seed(settings.points_seed)
    indices = torch.randperm(len(train), generator=generator)[: settings.points]
    dtype = torch.float64 if settings.float64 else torch.float32
    x = train.x[indices].to(device, dtype).div(255)
    net = net.to(dtype)
    net.shapes(x)  # refuses images of another shape
    return Problem(net, x, train.y[indices].to(device), settings.points_at_once)


def _ranking(ranking: Ranking) -> dict[str, Any]:
    """As plain data, with what follows from the inner products."""
    rows = []
    for row in ranking.rows:
        c = row.comparison
        told = {name: getattr(c, name) for name, kind in vars(Comparison).items() if isinstance(kind, property)}
        rows.append({"name": row.name, **asdict(c), **told, "steps": row.steps, "residual": row.residual})
    return {**{key: getattr(ranking, key) for key in ("damping", "target_norm", "base_norm")}, "rows": rows}
