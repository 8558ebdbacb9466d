"""From the checked config to what one job gets: a model's specification, a data set's. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.registries import regularizer
from dmcore.spec import AttackSpec, Method, ModelSpec, Pruning, Term, Training

MODEL_KEYS = ("shape", "classes", "normalize", "augment", "validation")
"""What of a data set's entry decides a model's weights, beside the images themselves."""

DATA_KEYS = ("shape", "classes", "train", "test", "validation", "sources")
"""What of a data set's entry decides its prepared file."""

_TERM_KEYS = ("kind", "weight", "ramp")


def options(term: Mapping[str, Any]) -> dict[str, Any]:
    """What a regulariser's or an attack's entry hands to its class."""
    return {key: value for key, value in term.items() if key not in _TERM_KEYS}


def resolved(method: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """A method's config entry as it is on one data set."""
    return {**method, **method["per_dataset"].get(dataset, {})}


def needs_eps(method: Mapping[str, Any]) -> bool:
    """Whether a method's config entry describes a training at some ε."""
    return "attack" in method or any(
        regularizer.constant(term["kind"], "NEEDS_EPS", False) for term in method["regularizers"]
    )


def data_spec(config: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """What the preparation of a data set takes."""
    data = config["datasets"][dataset]
    return {key: data[key] for key in DATA_KEYS if key in data}


def model_spec(
    config: Mapping[str, Any], schedule: str, dataset: str, arch: str, method: str, eps: str, seed: int
) -> ModelSpec:
    """One model, resolved: everything the config says that decides its weights, and nothing else.

    Args:
        eps: ε_train's id (``0.3``, ``8_255``), or ``none``.

    Raises:
        UserError: ε given to a method that has none, missing for one that needs it, or not written as its id; the
            schedule says nothing of this data set.
    """
    entry = resolved(config["methods"][method], dataset)
    if needs_eps(entry) == (eps == "none"):
        raise UserError(f"the method '{method}' " + ("needs an ε_train" if eps == "none" else "takes ε_train 'none'"))
    if eps != "none" and Eps.parse(eps).id != eps:
        raise UserError(f"ε_train '{eps}' is written '{Eps.parse(eps).id}' in paths")
    data = config["datasets"][dataset]
    return ModelSpec(
        schedule=schedule,
        dataset_name=dataset,
        arch=arch,
        eps=eps,
        seed=int(seed),
        method=method_spec(config, method, dataset),
        training=training(config, schedule, dataset, method),
        dataset={key: data[key] for key in MODEL_KEYS if key in data},
    )


def method_spec(config: Mapping[str, Any], method: str, dataset: str) -> Method:
    """A method of the config as it is on one data set."""
    entry = resolved(config["methods"][method], dataset)
    terms = tuple(Term(t["kind"], float(t["weight"]), t["ramp"], options(t)) for t in entry["regularizers"])
    attacked = entry.get("attack")
    return Method(
        method,
        terms,
        attack=AttackSpec(attacked["kind"], options(attacked)) if attacked else None,
        pruning=Pruning(**entry["pruning"]) if "pruning" in entry else None,
        members=entry["members"],
        init=entry["init"],
    )


def training(config: Mapping[str, Any], schedule: str, dataset: str, method: str = "") -> Training:
    """A schedule for a data set and method, in steps; its factors multiply every step count alike.

    The warm-up, ramp and drops of a schedule with ``shares`` are these of its steps. An epoch is one of the training
    points that no validation split holds out (by track: of about as many).
    """
    entry, factor = config["schedules"][schedule], 1.0
    factors, shares = entry["method_factors"], entry.get("shares")
    if "scaled_from" in entry:
        factor = entry["factor"]
        entry = config["schedules"][entry["scaled_from"]]
        factors = {**entry["method_factors"], **factors}
    factor *= factors.get(method, 1.0)
    if dataset not in entry["training"]:
        raise UserError(f"config: schedules.{schedule} has no training for the data set '{dataset}'")
    t = entry["training"][dataset]
    points = config["datasets"][dataset]["train"]
    points -= round(points * config["datasets"][dataset].get("validation", {"share": 0})["share"])
    steps = max(round(t["epochs"] * (points // t["batch"]) * factor), 1)
    places, whole = (t, factor) if shares is None else (shares, steps)
    return Training(
        batch=t["batch"],
        steps=steps,
        warmup=round(places["warmup"] * whole),
        ramp=round(places["ramp"] * whole),
        lr=float(t["lr"]),
        lr_drops=tuple(round(drop * whole) for drop in places["lr_drops"]),
        optimizer=t["optimizer"],
        lr_divisor=float(t["lr_divisor"]),
        ramp_shape=t["ramp_shape"],
        clip=float(t["clip"]),
    )
