"""How a rule calls dmcore: functions for its parameters, with the arguments that Snakemake gives them by name.

One that takes the output is no reason for Snakemake to run a job again when its value changes.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dmcore.files import digest, write_text
from dmcore.registry import plugin_environment
from doublemargin.experiment.source import PACKAGES

ORDER = "DMCORE_ORDER"
"""The environment's variable with the path of a JSON file: the priority of each job, by its path under results/."""


def given_order() -> dict[str, int]:
    """The priorities that `dmcore next` gives to jobs; none unless it is at work."""
    path = os.environ.get(ORDER)
    return {} if path is None else json.loads(Path(path).read_text())


def our_dmcore(wildcards: object, output: object) -> str:
    """The command that runs the code that is hashed here, not what is installed or lies in the working folder."""
    places = ":".join(shlex.quote(str(folder.parent)) for folder in PACKAGES.values())
    known = "".join(f"{name}={shlex.quote(value)} " for name, value in plugin_environment().items())
    return f"{known}PYTHONPATH={places}${{PYTHONPATH:+:$PYTHONPATH}} PYTHONSAFEPATH=1 python -m doublemargin"


def where(wildcards: object, threads: int, resources: Mapping[str, Any]) -> str:
    """The options that say where a job computes: the profile's matter; without one, as the default profile has it."""
    device, slots = resources.get("device", "auto"), resources.get("gpu_slots", 1)
    return f"--threads {threads} --device {shlex.quote(str(device))} --gpu-slots {shlex.quote(str(slots))}"


def how(wildcards: object, threads: int, resources: Mapping[str, Any]) -> str:
    """The options that say where and how a training computes; ``fused`` and ``cuda_graphs`` are 1 or 0."""
    asked = [name for name in ("cuda_graphs", "fused") if str(resources.get(name, 0)).lower() in ("1", "true")]
    return " ".join([where(wildcards, threads, resources), *(f"--{name.replace('_', '-')}" for name in asked)])


def folder(up: int = 0) -> Callable[[object, Sequence[str]], Path]:
    """A function for the folder of the first output, or ``up`` above it: a module's prefix may stand before both."""
    return lambda wildcards, output: Path(output[0]).parents[up]


def written_to_file(config: Mapping[str, Any]) -> Callable[[object, object], Path]:
    """A function for a file with the config, which is too long for a command."""
    path = Path(f".snakemake/config-{digest(config)}.json")

    def config_file(wildcards: object, output: object) -> Path:
        if not path.exists():
            write_text(path, json.dumps(config))
        return path

    return config_file
