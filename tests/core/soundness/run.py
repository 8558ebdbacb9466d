"""The large run: random networks, as many points as asked for against every bound, and a table of what was tried.

    make soundness                                     a million attacked points, besides the others
    python -m soundness.run --points 10000 --seed 5    fewer, other networks (PYTHONPATH=tests:tests/core)
    python -m soundness.run --case 123                 the one network of that number, with what it is

Each case has a number; a violation names it. The exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import Counter
from itertools import count

import torch
from soundness.cases import RADII, seeded
from soundness.trials import Effort, Outcome, certifiers, run, slow_certifiers
from tabulate import tabulate

TINY = 10  # every tenth case of a norm is a tiny one, on which the slow certifiers are tried, too


def main(arguments: list[str] | None = None) -> int:
    """Runs the trials and prints what they found; 1 if a bound was beaten, else 0."""
    parser = argparse.ArgumentParser(prog="python -m soundness.run", description="Tries to beat every bound.")
    parser.add_argument("--points", type=int, default=10**6, help="attacked points to try at least (default 10⁶)")
    parser.add_argument("--seed", type=int, default=0, help="other networks, inputs and points (default 0)")
    parser.add_argument("--minutes", type=float, default=60, help="stop after this time in any case (default 60)")
    parser.add_argument("--case", type=int, help="only the case of this number")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    numbers = count(options.seed * 10**6) if options.case is None else [options.case]
    found, nets, start = {norm: Outcome() for norm in RADII}, Counter(), time.monotonic()
    for number in numbers:
        norm = list(RADII)[number % len(RADII)]
        tiny = number % (TINY * len(RADII)) < len(RADII)
        case, before = seeded(number, norms=[norm], tiny=tiny), _violations(found)
        if options.case is not None:
            print(case)
        run(case, Effort(), certifiers() + (slow_certifiers(norm) if tiny else []), number, found[norm])
        nets[norm] += 1
        if _violations(found) > before:
            print(f"case {number}: {found[norm].violations}\n{case}", flush=True)
        attacked = sum(outcome.points["attacked"] for outcome in found.values())
        if attacked >= options.points or (time.monotonic() - start) / 60 > options.minutes:
            break
    _report(found, nets)
    seconds = time.monotonic() - start
    print(f"\n{_violations(found)} violations in {seconds:.0f} s, torch {torch.__version__}, {platform.machine()}.")
    return int(_violations(found) > 0)


def _violations(found: dict[str, Outcome]) -> int:
    return sum(len(told) for outcome in found.values() for told in outcome.violations.values())


def _report(found: dict[str, Outcome], nets: Counter[str]) -> None:
    kinds = ("random", "extreme", "attacked")
    rows = [[norm, nets[norm], *(outcome.points[kind] for kind in kinds)] for norm, outcome in found.items()]
    rows.append(["all", *(sum(row[column] for row in rows) for column in range(1, 5))])
    print("Tried: in each ball's interior and border, at its extreme points, and on the way of attacks")
    print(_table(rows, ["norm", "networks", *kinds]))

    checked = sorted({what for outcome in found.values() for what in outcome.slack})
    rows = [[what, *(_cell(outcome, what) for outcome in found.values())] for what in checked]
    print("\nViolations of bounds and of float32's verdicts, and the smallest slack over the size of the numbers")
    print(_table(rows, ["bounds", *found]))

    total = sum((outcome.verdicts for outcome in found.values()), Counter())
    kinds = ("certified", "refused", "wrong")
    rows = [[name, *(total[name, kind] for kind in kinds)] for name in sorted({name for name, _ in total})]
    print("\nVerdicts of float32")
    print(_table(rows, ["certifier", *kinds]))


def _cell(outcome: Outcome, what: str) -> str:
    if what not in outcome.slack:
        return "-"
    return f"{len(outcome.violations.get(what, []))} ({outcome.slack[what]:.0e})"


def _table(rows: list, headers: list[str]) -> str:
    return tabulate(rows, headers, tablefmt="simple", intfmt=",")


if __name__ == "__main__":
    sys.exit(main())
