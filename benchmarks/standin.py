"""Stands in for dmcore in simulated runs: writes empty files where a command of the pipeline writes its results.

It lies as ``workflow/doublemargin/__main__.py`` in a copy of the code. Every call adds its command to ``calls.tsv``.
"""

import argparse
import json
import sys
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


if sys.argv[1] == "spec":
    print(json.dumps({sys.argv[2].split("/")[-1]: {}}))
    sys.exit()
for path in outputs(sys.argv[1], sys.argv[2:]):
    path.touch()
with open("calls.tsv", "a") as calls:
    calls.write(f"{sys.argv[1]}\n")
