"""``config.yaml``, read and checked: each key by :mod:`config_models`, then the names against each other.

Nothing here needs torch: Snakemake reads this for every job.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dmcore.eps import Eps
from dmcore.errors import UserError, nearest
from dmcore.norms import check_radius
from dmcore.registries import regularizer
from dmcore.registry import use_plugins
from doublemargin.experiment.config_file import read_config
from doublemargin.experiment.config_models import Config
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.looks import looks_of
from doublemargin.experiment.resolve import needs_eps, resolved, training
from doublemargin.experiment.sweeps import written_out
from doublemargin.files import shipped

TYPES = {
    "bool_type": "true or false",
    "dict_type": "keys with values",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "keys with values",
    "string_type": "text",
}
"""Pydantic's errors of type, and what should be there in plain words."""
COMMAND_LINE = "; Snakemake's --config takes numbers in a list for text: put the list into a file, for --configfile"
LARGEST = 10**6
"""Entries that a config may have; the paper's has a few thousand."""


def load_config(path: Path, *over: Path) -> dict[str, Any]:
    """The config of a file, with the keys of others put over its own, checked, with its defaults written out."""
    return check_config(reduce(overlaid, [read_config(one) for one in (path, *over)]))


def overlaid(config: Any, over: Any) -> Any:
    """A config with the keys of another one put over its own as Snakemake's ``--configfile`` does; lists as a whole.

    In its order, too: the other's keys come first, and so do its methods where looks are given out.
    """
    if not (isinstance(config, dict) and isinstance(over, dict)):
        return over
    put = {key: overlaid(config[key], value) if key in config else value for key, value in over.items()}
    return put | {key: value for key, value in config.items() if key not in put}


def given_config(path: Path, *over: Path) -> dict[str, Any]:
    """As :func:`load_config`, or of JSON as the rules write it, where ``1e-05`` is a number."""
    if path.suffix != ".json":
        return load_config(path, *over)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return check_config(config)


def check_config(config: Any) -> dict[str, Any]:
    """The config as plain data, with the defaults of what is left out.

    Raises:
        UserError: one line with the key, what is wrong with it, and the nearest valid name.
    """
    _check_written_out(config)
    _use_plugins(config)
    try:
        checked = Config.model_validate(written_out(config)).model_dump(exclude_none=True)
    except ValidationError as error:
        first = min(error.errors(include_url=False), key=lambda one: len(one["loc"]))
        raise UserError(f"config: {_explain(first)}") from error
    _check_methods(checked)
    _check_schedules(checked)
    for report, exhibits in checked["reports"].items():
        split = {**checked["certification"], **exhibits.get("certification", {})}["split"]
        for kind in ("tables", "figures"):
            for name, exhibit in exhibits[kind].items():
                for i, panel in enumerate(exhibit.get("panels", ())):
                    _check_panel(checked, f"reports.{report}.{kind}.{name}.panels[{i}]", panel, split)
    _check_training_of_shown(checked)
    looks_of(checked)
    return checked


def _use_plugins(config: Any) -> None:
    """Has the names that a config may have include those of its plugins, here and in the jobs."""
    given = config.get("plugins", []) if isinstance(config, dict) else []
    if isinstance(given, list) and all(isinstance(path, str) for path in given):
        use_plugins([shipped(path) for path in given])


def _check_written_out(config: Any) -> None:
    """Refuses what would be too large with its aliases written out, and names with line breaks in them.

    Aliases of aliases make a billion entries of ten lines.
    """
    left, waiting = LARGEST, [config]
    while waiting:
        part = waiting.pop()
        left -= len(part) if isinstance(part, (dict, list)) else 0
        if left < 0:
            raise UserError(f"config: more than {LARGEST} entries when all aliases (*name) are written out")
        if isinstance(part, dict):
            for key in part:
                if not str(key).isprintable():
                    raise UserError(f"config: the name {key!r} holds a line break or another control character")
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _explain(error: Mapping[str, Any]) -> str:
    """One line for one of pydantic's errors: the path of the key, and what is wrong with it."""
    path, value, kind = error["loc"], error["input"], error["type"]
    if kind == "missing":
        return f"{_where(path[:-1])}the key '{path[-1]}' is missing"
    if path[-1:] == ("[key]",):
        path = path[:-2]
    if kind == "value_error":
        return f"{_where(path)}{error['ctx']['error']}"
    if kind in TYPES:
        in_list = any(isinstance(part, int) for part in path[-1:])
        hint = COMMAND_LINE if in_list and isinstance(value, str) and _is_number(value) else ""
        return f"{_where(path)}{_wrong_type(value, TYPES[kind])}{hint}"
    said = re.sub(r"^(Input|String|List|Dictionary) | after validation", "", error["msg"])
    return f"{_where(path)}{value!r} {said}"


def _wrong_type(value: Any, wanted: str) -> str:
    """What stands in the place of a value of another type."""
    hint = f": write [{value}]" if wanted == "a list" else ""
    if value is None or isinstance(value, list | dict):
        found = "nothing" if value is None else "a list" if isinstance(value, list) else "keys with values"
        return f"{found} is given where {wanted} should be"
    if isinstance(value, str):
        hint = "; YAML needs 1.0e-3 where you might write 1e-3" if wanted == "a number" else hint
        return f"'{value}' is text, not {wanted}{hint}"
    return f"{value} is not {wanted}{': put it in quotes' if wanted == 'text' else hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _where(path: Iterable[str | int]) -> str:
    parts = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return f"{parts.lstrip('.')}: " if parts else ""


def _check_methods(config: Mapping[str, Any]) -> None:
    for name, method in config["methods"].items():
        for dataset in method["per_dataset"]:
            where = f"methods.{name}.per_dataset"
            _check_known(dataset, config["datasets"], where, "data set")
            if needs_eps(resolved(method, dataset)) != needs_eps(method):
                raise UserError(f"config: {where}.{dataset}: a method has an ε on all data sets or on none")


def _check_schedules(config: Mapping[str, Any]) -> None:
    """Names, and that every training has a whole batch and lasts until λ and ε have their final values."""
    _check_known(config["schedule"], config["schedules"], "schedule", "schedule")
    unscaled = [name for name, schedule in config["schedules"].items() if "training" in schedule]
    for name, schedule in config["schedules"].items():
        where = f"schedules.{name}"
        _check_known(schedule["report"], config["reports"], f"{where}.report", "report")
        if name in config["datasets"]:
            raise UserError(f"config: {where}: a data set has this name, too: name the schedule otherwise")
        if "scaled_from" in schedule:
            _check_known(schedule["scaled_from"], unscaled, f"{where}.scaled_from", "unscaled schedule")
        for method in schedule["method_factors"]:
            _check_known(method, config["methods"], f"{where}.method_factors", "method")
        for dataset, given in schedule.get("training", {}).items():
            _check_known(dataset, config["datasets"], f"{where}.training", "data set")
            place, points = f"config: {where}.training.{dataset}", config["datasets"][dataset]["train"]
            if given["batch"] > points:
                raise UserError(f"{place}.batch: {given['batch']} is more than the {points} points of the training set")
        for dataset in _trained(config, name):
            found = training(config, name, dataset)
            if found.warmup + found.ramp > found.steps:
                raise UserError(
                    f"config: {where}: warmup and ramp take {found.warmup + found.ramp} steps on the data set "
                    f"'{dataset}', of {found.steps} in all: ε would not be reached"
                )


def _check_panel(config: Mapping[str, Any], where: str, panel: Mapping[str, Any], split: str) -> None:
    _check_known(panel["dataset"], config["datasets"], f"{where}.dataset", "data set")
    _check_known(panel["arch"], config["architectures"], f"{where}.arch", "architecture")
    data, points = config["datasets"][panel["dataset"]], panel["points"]
    if split == "validation" and "validation" not in data:
        raise UserError(f"config: {where}.dataset: '{panel['dataset']}' has no validation split to be certified")
    if points > (data["test"] if split == "test" else round(data["validation"]["share"] * data["train"])):
        raise UserError(f"config: {where}.points: {points} is more than the {split} set has")
    _check_radii(panel["norm"], panel["eps_cert"], f"{where}.eps_cert")
    for i, group in enumerate(panel["rows"]):
        for name in group["methods"]:
            _check_known(name, config["methods"], f"{where}.rows[{i}].methods", "method")
            method = config["methods"][name]
            if needs_eps(method) != ("eps_train" in group):
                need = "needs an eps_train" if needs_eps(method) else "has no ε to train at"
                raise UserError(f"config: {where}.rows[{i}]: the method '{name}' {need}")
            for norm in _norms(method):
                _check_radii(norm, group["eps_train"], f"{where}.rows[{i}].eps_train")
    rows = Grid(config, config["schedule"]).rows(panel)
    shown = dict.fromkeys(name for row in rows for name in (row.method, f"{row.method}/{row.eps}"))
    for name in itertools.chain.from_iterable(panel["compare"]):
        _check_known(name, shown, f"{where}.compare", "row of this panel")
    for method in panel["labels"]:
        _check_known(method, config["methods"], f"{where}.labels", "method")


def _trained(config: Mapping[str, Any], schedule: str) -> Mapping[str, Any]:
    """The trainings of a schedule by data set, its own or those that it scales."""
    return config["schedules"][config["schedules"][schedule].get("scaled_from", schedule)]["training"]


def _check_training_of_shown(config: Mapping[str, Any]) -> None:
    """A schedule must train on every data set that its report shows."""
    for name, schedule in config["schedules"].items():
        for panel in Grid(config, name).panels():
            if panel["dataset"] not in _trained(config, name):
                shown = f"the data set '{panel['dataset']}', which its report '{schedule['report']}' shows"
                raise UserError(f"config: schedules.{name}: there is no training for {shown}")


def _check_radii(norm: str, radii: Iterable[str | float], where: str) -> None:
    for i, eps in enumerate(radii):
        try:
            check_radius(norm, float(Eps.parse(eps)))
        except UserError as error:
            raise UserError(f"config: {where}[{i}]: {error}") from error


def _check_known(name: str, known: Iterable[str], where: str, what: str) -> None:
    if name not in known:
        raise UserError(f"config: {where}: unknown {what} '{name}': {nearest(name, known)}")


def _norms(method: Mapping[str, Any]) -> set[str]:
    """The norms in which a method's terms measure ε."""
    terms = [t for t in method["regularizers"] if regularizer.constant(t["kind"], "NEEDS_EPS", False)]
    return {term["norm"] for term in terms if "norm" in term}
