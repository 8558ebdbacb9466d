"""Stands in for dmcore in simulated runs: writes empty files where a command of the pipeline writes its results.

It lies as ``dmcore/__main__.py`` in the folder that Snakemake runs in, where ``python -m dmcore`` finds it first. Every
call adds a line to ``calls.tsv``: the command, when it began and when it ended. It takes STANDIN_SECONDS.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

BEGAN = time.time()
RECORDS = ("training.csv", "certified_accuracy.csv", "verdicts.csv.gz", "points.csv.gz")
SUFFIXES = {
    "tables": (".md", ".txt", ".tex", ".csv", ".html"),
    "figures": (".png", ".svg", ".pdf"),
    "comparisons": (".md", ".csv", ".html"),
    "overview": (".md", ".html"),
    "verdict": (".md", ".csv", ".html"),
}


def outputs(command: str, rest: list[str]) -> list[Path]:
    """The files that a call of dmcore writes; of one of several ε or tables, all of them."""
    parser = argparse.ArgumentParser()
    for path in ("--out", "--model", "--record"):
        parser.add_argument(path, type=Path)
    parser.add_argument("--eps", nargs="+")
    args, _ = parser.parse_known_args(rest)
    if command == "train":
        return [args.model, args.record]
    if command == "certify":
        return [args.out / f"{eps}.json" for eps in args.eps]
    if command == "collect":
        return [args.out / name for name in RECORDS]
    if command == "document":
        return [args.out / "all-tables.tex"]
    if command in ("overview", "verdict"):
        return [args.out / f"{command}{suffix}" for suffix in SUFFIXES[command]]
    if command in SUFFIXES:
        exhibits = json.load(sys.stdin)  # as the stand-in of `spec` writes them
        return [args.out / f"{name}{suffix}" for name in exhibits for suffix in SUFFIXES[command]]
    return [args.out]  # data, history


if sys.argv[1] == "spec":
    print(json.dumps({sys.argv[2].split("/")[-1]: {}}))
    sys.exit()
for path in outputs(sys.argv[1], sys.argv[2:]):
    path.touch()
time.sleep(float(os.environ.get("STANDIN_SECONDS", "0")))
with open("calls.tsv", "a") as calls:
    calls.write(f"{sys.argv[1]}\t{BEGAN}\t{time.time()}\n")
