"""``config.yaml``: checked against a closed schema, its names against each other and against dmcore.

Nothing here needs torch: Snakemake reads this for every job.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from dmcore.eps import Eps
from dmcore.errors import UserError, nearest
from dmcore.norms import check_radius
from dmcore.registries import architecture, attack, certifier, forward_domain, regularizer
from doublemargin.experiment.config_file import read_config
from doublemargin.experiment.exhibits import KINDS, exhibit_kind
from doublemargin.experiment.grid import Grid, train_eps
from doublemargin.experiment.registries import reader
from doublemargin.experiment.resolve import needs_eps, options, resolved, training
from doublemargin.report.figures.looks import looks_of

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"

TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "keys with values",
    "string": "text",
}
"""The schema's types in plain words."""
LARGEST = 10**6
"""Entries that a config may have; the paper's has a few thousand."""


def load_config(path: Path) -> dict[str, Any]:
    """Reads and checks a config file."""
    config = read_config(path)
    check_config(config)
    return config


def given_config(given: str) -> dict[str, Any]:
    """A checked config, from the path of its file or from itself as JSON."""
    if not given.lstrip().startswith("{"):
        return load_config(Path(given))
    try:
        config = json.loads(given)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the config is neither a file nor JSON ({error})") from error
    check_config(config)
    return config


def check_config(config: Any) -> None:
    """Checks a config: its form against the schema, its names against each other and against dmcore.

    Raises:
        UserError: one line with the key, what is wrong with it, and the nearest valid name.
    """
    _check_written_out(config)
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda e: (len(e.absolute_path), str(e.path)))
    if errors:
        raise UserError(f"config: {_explain(errors[0])}")
    _check_finite(config)
    _check_names(config)


def _check_written_out(config: Any) -> None:
    """Refuses what would be too large with its aliases written out, and names with line breaks in them.

    Aliases of aliases make a billion entries of ten lines; and ``$`` in a schema's pattern lets a last line break pass.
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


def _explain(error: ValidationError) -> str:
    """One line for one violation of the schema."""
    where = _where(error.absolute_path)
    if error.validator == "additionalProperties":
        known, patterns = error.schema.get("properties", {}), error.schema.get("patternProperties", {})
        key = next(k for k in error.instance if k not in known and not any(re.search(p, str(k)) for p in patterns))
        if known:
            return f"{where}unknown key '{key}': {nearest(str(key), known)}"
        return f"{where}'{key}' is not a valid name; names match {' or '.join(patterns)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{where}the key '{missing}' is missing"
    if error.validator == "oneOf":
        return f"{where}needs either 'training', or 'scaled_from' with 'factor'"
    if error.validator == "anyOf":  # only ε has alternatives
        return f"{where}{error.instance!r} is not a radius ≥ 0 such as 0.3 or 8/255"
    if error.validator == "type":
        return f"{where}{_wrong_type(error.instance, error.validator_value)}"
    return f"{where}{error.message}"


def _wrong_type(value: Any, wanted: str) -> str:
    """What stands in the place of a value of another type."""
    if value is None or isinstance(value, list | dict):
        found = "nothing" if value is None else "a list" if isinstance(value, list) else "keys with values"
        return f"{found} is given where {TYPES[wanted]} should be"
    if isinstance(value, str):
        hints = {"number": "; YAML needs 1.0e-3 where you might write 1e-3", "array": f": write [{value}]"}
        return f"'{value}' is text, not {TYPES[wanted]}{hints.get(wanted, '')}"
    hints = {"array": f": write [{value}]", "string": ": put it in quotes"}
    return f"{value} is not {TYPES[wanted]}{hints.get(wanted, '')}"


def _where(path: Any) -> str:
    parts = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return f"{parts.lstrip('.')}: " if parts else ""


def _check_finite(value: Any, path: tuple[str | int, ...] = ()) -> None:
    """Refuses nan and inf, which YAML writes as .nan and .inf, and JSON schema takes for numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"config: {_where(path)}{value} is not a finite number")
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _check_finite(part, (*path, key))


def _check_names(config: Mapping[str, Any]) -> None:
    """Every name in the config must be that of something: in the config itself, or in dmcore."""
    _check_known(config["schedule"], config["schedules"], "schedule", "schedule")
    for name in config["architectures"]:
        _located(f"architectures.{name}", architecture.check, name)
    for name, dataset in config["datasets"].items():
        _check_dataset(name, dataset)
    for name, method in config["methods"].items():
        _check_method(f"methods.{name}", method)
        for dataset, changes in method.get("per_dataset", {}).items():
            _check_known(dataset, config["datasets"], f"methods.{name}.per_dataset", "data set")
            _check_method(f"methods.{name}.per_dataset.{dataset}", changes)
            if needs_eps(resolved(method, dataset)) != needs_eps(method):
                raise UserError(
                    f"config: methods.{name}.per_dataset.{dataset}: a method has an ε on all data sets or on none"
                )
    for name, schedule in config["schedules"].items():
        where = f"schedules.{name}"
        _check_known(schedule["report"], config["reports"], f"{where}.report", "report")
        if "scaled_from" in schedule:
            full = {n for n, s in config["schedules"].items() if "training" in s}
            _check_known(schedule["scaled_from"], full, f"{where}.scaled_from", "unscaled schedule")
        for method in schedule.get("method_factors", ()):
            _check_known(method, config["methods"], f"{where}.method_factors", "method")
        for dataset in schedule.get("training", ()):
            _check_known(dataset, config["datasets"], f"{where}.training", "data set")
    for name in config["schedules"]:
        _check_schedule(config, name)
    for name, report in config["reports"].items():
        for kind in KINDS:
            for exhibit, content in report[kind].items():
                _check_exhibit(config, kind, f"reports.{name}.{kind}.{exhibit}", content)
    looks_of(config)
    for name, schedule in config["schedules"].items():
        of = config["schedules"][schedule["scaled_from"]] if "scaled_from" in schedule else schedule
        for panel in Grid(config, name).panels():
            if panel["dataset"] not in of["training"]:
                shown = f"the data set '{panel['dataset']}', which its report '{schedule['report']}' shows"
                raise UserError(f"config: schedules.{name}: there is no training for {shown}")


def _check_schedule(config: Mapping[str, Any], name: str) -> None:
    """Every training must have a whole batch, and last until λ and ε have their final values."""
    for dataset, given in config["schedules"][name].get("training", {}).items():
        where = f"config: schedules.{name}.training.{dataset}"
        points = config["datasets"][dataset]["train"]
        if given["batch"] > points:
            raise UserError(f"{where}.batch: {given['batch']} is more than the {points} points of the training set")
        found = training(config, name, dataset)
        if found.warmup + found.ramp > found.steps:
            raise UserError(
                f"{where}: warmup and ramp take {found.warmup + found.ramp} steps, but {given['epochs']} epochs have "
                f"only {found.steps}: ε would not be reached"
            )


def _check_exhibit(config: Mapping[str, Any], kind: str, where: str, exhibit: Mapping[str, Any]) -> None:
    shown = exhibit_kind(kind, exhibit)
    _check_known(shown, KINDS[kind], f"{where}.kind", "kind")
    needed = KINDS[kind][shown]
    if needed and needed not in exhibit:
        raise UserError(f"config: {where}: the key '{needed}' is missing")
    for i, panel in enumerate(exhibit.get("panels", ())):
        _check_panel(config, f"{where}.panels[{i}]", panel)


def _check_panel(config: Mapping[str, Any], where: str, panel: Mapping[str, Any]) -> None:
    _check_known(panel["dataset"], config["datasets"], f"{where}.dataset", "data set")
    _check_known(panel["arch"], config["architectures"], f"{where}.arch", "architecture")
    _located(f"{where}.certifier", certifier.check, panel["certifier"])
    if panel["points"] > config["datasets"][panel["dataset"]]["test"]:
        raise UserError(f"config: {where}.points: {panel['points']} is more than the test set has")
    for i, eps in enumerate(panel["eps_cert"]):
        _located(f"{where}.eps_cert[{i}]", check_radius, panel.get("norm", "linf"), float(Eps.parse(eps)))
        if Eps.parse(eps).value in {Eps.parse(e).value for e in panel["eps_cert"][:i]}:
            raise UserError(f"config: {where}.eps_cert[{i}]: {eps} is in the list already")
    for i, group in enumerate(panel["rows"]):
        for method in group["methods"]:
            _check_known(method, config["methods"], f"{where}.rows[{i}].methods", "method")
            if needs_eps(config["methods"][method]) != ("eps_train" in group):
                need = "needs an eps_train" if needs_eps(config["methods"][method]) else "has no ε to train at"
                raise UserError(f"config: {where}.rows[{i}]: the method '{method}' {need}")
            for norm in _norms(config["methods"][method]):
                for eps in train_eps(group):
                    _located(f"{where}.rows[{i}].eps_train", check_radius, norm, float(Eps.parse(eps)))
    in_rows = {method for group in panel["rows"] for method in group["methods"]}
    for method in panel.get("compare", ()):
        _check_known(method, in_rows, f"{where}.compare", "method of this panel")
    for method in panel.get("labels", ()):
        _check_known(method, config["methods"], f"{where}.labels", "method")


def _check_dataset(name: str, dataset: Mapping[str, Any]) -> None:
    for i, source in enumerate(dataset["sources"]):
        _located(f"datasets.{name}.sources[{i}].format", reader.check, source["format"])
    channels = dataset["shape"][0]
    for key, values in dataset.get("normalize", {}).items():
        if len(values) != channels:
            raise UserError(f"config: datasets.{name}.normalize.{key}: {len(values)} values for {channels} channels")


def _check_known(name: str, known: Any, where: str, what: str) -> None:
    if name not in known:
        raise UserError(f"config: {where}: unknown {what} '{name}': {nearest(name, known)}")


def _located(where: str, check: Any, *args: Any) -> None:
    try:
        check(*args)
    except UserError as error:
        raise UserError(f"config: {where}: {error}") from error


def _check_method(where: str, method: Mapping[str, Any]) -> None:
    for i, term in enumerate(method.get("regularizers", ())):
        _located(f"{where}.regularizers[{i}]", _check_term, term)
    if "attack" in method:
        _located(f"{where}.attack", attack.check, method["attack"]["kind"], options(method["attack"]))


def _check_term(term: Mapping[str, Any]) -> None:
    regularizer.check(term["kind"], options(term))
    if "domain" in options(term):
        forward_domain.check(term["domain"])


def _norms(method: Mapping[str, Any]) -> set[str]:
    """The norms in which a method's terms measure ε."""
    terms = [t for t in method["regularizers"] if regularizer.constant(t["kind"], "NEEDS_EPS", False)]
    return {term["norm"] for term in terms if "norm" in term}
