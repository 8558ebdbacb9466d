"""The project's Snakefile, rules and config, run with stand-ins for the jobs' work: what is left is Snakemake's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
MEASURED = """
import atexit, resource, sys
from snakemake.cli import main

@atexit.register
def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stderr.flush()
    print(f"\\n{used.ru_utime + used.ru_stime} {used.ru_maxrss}", flush=True)

sys.exit(main())
"""
"""Snakemake, which says at its end what it used itself: seconds of processor time, and peak memory in kB."""


@dataclass(frozen=True)
class Run:
    """What a run of Snakemake took: seconds by the clock and of its own processor time, its peak memory in MB."""

    output: str
    seconds: float
    own_seconds: float
    megabytes: float

    @property
    def jobs(self) -> dict[str, int]:
        """How many jobs of each rule it announced."""
        table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", self.output, re.S)
        return {rule: int(count) for rule, count in map(str.split, table[1].splitlines())} if table else {}


class Simulation:
    """A folder of its own with a config, in which Snakemake runs and no job computes anything."""

    def __init__(self, folder: Path, config: dict[str, Any], code: Path = ROOT) -> None:
        self.folder = folder
        for name in ("dmcore", "workflow"):
            shutil.copytree(code / name, folder / name)
        shutil.copy(Path(__file__).with_name("standin.py"), folder / "workflow/doublemargin/__main__.py")
        for name in ("Snakefile", "envs", "resources"):
            (folder / name).symlink_to(code / name)
        self.write(config)

    def write(self, config: dict[str, Any]) -> None:
        """Sets the config."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))

    def run(self, *arguments: str) -> Run:
        """Runs Snakemake to its end, which must be a good one."""
        command = [sys.executable, "-c", MEASURED, "-s", "Snakefile", *arguments]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "TMPDIR": str(self.folder)}
        began = time.perf_counter()
        done = subprocess.run(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        seconds = time.perf_counter() - began
        output, _, measured = done.stdout.rstrip().rpartition("\n")
        if done.returncode:
            raise RuntimeError(f"snakemake {' '.join(arguments)}:\n{done.stdout[-3000:]}")
        own, kilobytes = map(float, measured.split())
        return Run(output, seconds, own, kilobytes / 1e3)

    def calls(self) -> list[str]:
        """The commands of all jobs so far."""
        return (self.folder / "calls.tsv").read_text().splitlines()
