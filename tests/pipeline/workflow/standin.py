"""Stands in for dmcore in simulated runs: writes empty files where a command of the pipeline writes its results.

It lies as ``workflow/doublemargin/__main__.py`` in a copy of the code. Every call adds a line to ``calls.tsv``: the
command, when it began and when it ended, and its GPU. Where STANDIN_GPUS says how many there are, a job that computes
leases one as dmcore does, by dmcore's own code. It takes STANDIN_SECONDS.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

RECORDS = ("training.csv", "certified_accuracy.csv", "verdicts.csv.gz", "points.csv.gz", "SHA256SUMS")
EXHIBITS = {
    "tables": {"tables": (".md", ".txt", ".tex", ".csv", ".html"), "comparisons": (".md", ".csv", ".html")},
    "figures": {"figures": (".png", ".svg", ".pdf")},
}
PAGES = ("overview.md", "overview.html", "verdict.md", "verdict.csv", "verdict.html", "tables/all-tables.tex")


def outputs(command: str, rest: list[str]) -> list[Path]:
    """The files that a call of dmcore writes; of one of several tables, all of them."""
    parser = argparse.ArgumentParser()
    for path in ("--out", "--model", "--record"):
        parser.add_argument(path, type=Path)
    args, _ = parser.parse_known_args(rest)
    if command == "train":
        return [args.model, args.record]
    if command == "collect":
        return [args.out / name for name in RECORDS]
    if command == "pages":
        return [args.out / name for name in PAGES]
    if command in EXHIBITS:
        names = json.load(sys.stdin)  # as the stand-in of `spec` writes them
        return [
            args.out / f"{folder}/{name}{suffix}"
            for name in names
            for folder, suffixes in EXHIBITS[command].items()
            for suffix in suffixes
        ]
    return [args.out]  # data, certify, history


def lease(rest: list[str]) -> str:
    """The GPU that a job gets, out of those that there would be."""
    count = int(os.environ.get("STANDIN_GPUS", "0"))
    if not count or "--gpu-slots" not in rest:
        return ""
    from doublemargin.experiment.gpu_lock import lease_gpu

    return lease_gpu([str(gpu) for gpu in range(count)], int(rest[rest.index("--gpu-slots") + 1]))


if sys.argv[1] == "spec":
    print(json.dumps({sys.argv[2].split("/")[-1]: {}}))
    sys.exit()
gpu, began = lease(sys.argv[2:]), time.time()
for path in outputs(sys.argv[1], sys.argv[2:]):
    path.touch()
time.sleep(float(os.environ.get("STANDIN_SECONDS", "0")))
with open("calls.tsv", "a") as calls:
    calls.write(f"{sys.argv[1]}\t{began}\t{time.time()}\t{gpu}\n")
