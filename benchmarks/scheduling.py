"""What Snakemake itself costs on the paper's grid: the project's rules, with stand-ins for the jobs' work.

    python benchmarks/scheduling.py                              seeds for about 500, 1000, 2000 and 4000 jobs
    python benchmarks/scheduling.py --seeds 1 4 --scheduler greedy ilp
    python benchmarks/scheduling.py --seeds 32 64 --plan-only    only parsing and planning, for larger grids
    python benchmarks/scheduling.py --seeds 4 --options="--max-jobs-per-timespan 6000/60s"

Each line is a run in an empty folder. ``parse`` reads the rules and the config; ``plan`` is a dry run; ``a job`` is
what the run took beyond that, for each job, with stand-ins that return at once; ``start`` is what Snakemake takes for
one job alone, as it does on a cluster's node. Times are Snakemake's own processor time, which others on the machine
disturb little; ``wall`` is the clock's. Memory is the peak of Snakemake's process.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from simulated import Simulation
from tabulate import tabulate

from doublemargin.experiment.config import load_config
from doublemargin.experiment.grid import Grid

ROOT = Path(__file__).parents[1]


def files_in(folder: Path) -> tuple[int, float]:
    """How many files lie in a folder, and how many MB of the disk they take."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_blocks for path in files) * 512 / 1e6


def measure(
    config: dict[str, Any], schedule: str, scheduler: str, plan_only: bool, options: list[str]
) -> dict[str, str]:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(Path(folder) / "run", config)
        cores = ("--cores", "2", "--resources", "gpu=2", "--scheduler", scheduler, "--config", f"schedule={schedule}")
        parsed, planned = simulation.run("--list"), simulation.run("-n", *cores, *options)
        jobs = sum(planned.jobs.values())
        line = {
            "seeds": str(len(config["seeds"])),
            "jobs": str(jobs),
            "parse": f"{parsed.own_seconds:.1f} s",
            "plan": f"{planned.own_seconds:.1f} s",
            "plan, a job": f"{1e3 * (planned.own_seconds - parsed.own_seconds) / jobs:.1f} ms",
            "memory": f"{planned.megabytes:.0f} MB",
        }
        if plan_only:
            return line
        done = simulation.run(*cores, *options)
        again = simulation.run("-n", *cores, *options)
        assert not again.jobs, again.jobs
        (job, *_) = Grid(config, schedule).evaluations
        start = simulation.run("-n", *cores, "--forcerun", "--", f"results/{job.path}.json")
        own_files, own_megabytes = files_in(simulation.folder / ".snakemake")
        return line | {
            "run": f"{done.seconds:.0f} s",
            "a job": f"{1e3 * (done.own_seconds - planned.own_seconds) / jobs:.1f} ms",
            "a job, wall": f"{1e3 * (done.seconds - planned.seconds) / jobs:.0f} ms",
            "memory of the run": f"{done.megabytes:.0f} MB",
            "nothing to do": f"{again.own_seconds:.1f} s",
            "start": f"{start.own_seconds:.1f} s",
            ".snakemake": f"{own_files} files, {own_megabytes:.0f} MB",
            "files": str(files_in(simulation.folder)[0] - own_files),
            "scheduler": scheduler,
        }


def main() -> None:
    """Prints the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 4, 8], help="how many, a line each")
    parser.add_argument("--schedule", default="paper", help="(default: %(default)s)")
    parser.add_argument("--scheduler", nargs="+", default=["greedy"], choices=["greedy", "ilp"])
    parser.add_argument("--plan-only", action="store_true", help="run no jobs")
    parser.add_argument("--options", default="", help="more options of Snakemake's")
    args = parser.parse_args()
    config, lines = load_config(ROOT / "config.yaml"), []
    for seeds in args.seeds:
        for scheduler in args.scheduler:
            seeded = config | {"seeds": list(range(seeds))}
            lines.append(measure(seeded, args.schedule, scheduler, args.plan_only, args.options.split()))
            print(lines[-1], file=sys.stderr, flush=True)
    print(tabulate(lines, "keys", tablefmt="github"))


if __name__ == "__main__":
    main()
