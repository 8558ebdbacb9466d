"""Sweeps: a method with a ``grid`` stands for one method for each combination of its values. Needs no torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from dmcore.errors import UserError

Path = tuple[str | int, ...]


def written_out(config: Any) -> Any:
    """A config as it was read, with every method that has a ``grid``, and every row that names it, written out.

    ``mtl_ibp`` with ``grid: {alpha: [0.1, 0.5]}`` becomes ``mtl_ibp-alpha0.1`` and ``mtl_ibp-alpha0.5``.

    Raises:
        UserError: a key of a grid names nothing of its method, or several things.
    """
    methods = config.get("methods") if isinstance(config, dict) else None
    if not isinstance(methods, dict):
        return config
    variants = {
        name: dict(_variants(name, method))
        for name, method in methods.items()
        if isinstance(method, dict) and isinstance(method.get("grid"), dict)
    }
    if not variants:
        return config
    config = copy.deepcopy({**config, "methods": {}})
    for name, method in methods.items():
        config["methods"] |= variants.get(name, {name: method})
    for group in _groups(config):
        group["methods"] = [one for name in group["methods"] for one in variants.get(name, [name])]
    return config


def base(method: str) -> str:
    """The method whose grid has this one, or itself."""
    return method.partition("-")[0]


def base_label(method: str, label: str) -> str:
    """A variant's label without the values of its grid; another method's as it is."""
    while (choice := label.rpartition(", "))[1] and method.endswith(end := "-" + choice[2].replace(" = ", "", 1)):
        method, label = method.removesuffix(end), choice[0]
    return label


def _variants(name: str, method: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    grid = method["grid"]
    places = {key: _place(name, method, key) for key in grid}
    values = [value if isinstance(value, list) else [value] for value in grid.values()]
    for combination in product(*values):
        variant = copy.deepcopy({key: value for key, value in method.items() if key != "grid"})
        chosen = [(key.rpartition(".")[2], value) for key, value in zip(grid, combination, strict=True)]
        for place, value in zip(places.values(), combination, strict=True):
            part: Any = variant
            for step in place[:-1]:
                part = part[step]
            part[place[-1]] = value
        if "label" in variant:
            variant["label"] = ", ".join([str(variant["label"]), *(f"{key} = {value}" for key, value in chosen)])
        yield "-".join([name, *(f"{key}{value}" for key, value in chosen)]), variant


def _place(name: str, method: Mapping[str, Any], key: str) -> Path:
    """Where a key of a grid stands in a method: in itself, or in one of its terms, perhaps after the term's kind."""
    steps = key.split(".")
    found = [tuple(steps)] if _is_there(method, steps) else []
    for i, term in enumerate(method.get("regularizers", ())):
        own = steps[1:] if isinstance(term, dict) and steps[0] == term.get("kind") else steps
        if _is_there(term, own):
            found.append(("regularizers", i, *own))
    if len(found) != 1:
        what = "no term of the method gives it" if not found else f"write <kind>.{key}, as several terms give it"
        raise UserError(f"config: methods.{name}.grid: '{key}': {what}")
    return found[0]


def _is_there(part: Any, steps: list[str]) -> bool:
    for step in steps:
        if not isinstance(part, dict) or step not in part:
            return False
        part = part[step]
    return bool(steps)


def _groups(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of all panels, as far as they are what they should be; each once, however many panels share them."""
    waiting, seen = [config.get("reports")], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict | list) and id(part) not in seen:
            seen.add(id(part))
            if isinstance(part, dict) and isinstance(part.get("methods"), list):
                yield part
            waiting += part.values() if isinstance(part, dict) else part
