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

import torch
from soundness.descriptions import RADII, seeded
from soundness.trials import STEPS, Effort, Outcome, certifiers, run, slow_certifiers
from tabulate import tabulate

TINY = 10  # every tenth case of a norm is a tiny one, on which the slow certifiers are tried, too


def main(arguments: list[str] | None = None) -> int:
    """Runs the trials and prints what they found; 1 if a bound was beaten, else 0."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(1)
    numbers = [options.case] if options.case is not None else range(options.seed * 10**6, (options.seed + 1) * 10**6)
    found = {norm: Outcome() for norm in RADII}
    nets, start = Counter(), time.monotonic()
    for number in numbers:
        norm = list(RADII)[number % len(RADII)]
        tiny = number % (TINY * len(RADII)) < len(RADII)
        case = seeded(number, norms=[norm], tiny=tiny)
        names = [*options.certifiers, *(slow_certifiers(norm) if tiny else [])]
        try:
            outcome = run(case, Effort(), names, number)
        except Exception:
            print(f"case {number}\n{case}", flush=True)
            raise
        found[norm].add(outcome)
        nets[norm] += 1
        for what, violations in outcome.violations.items():
            print(f"case {number}: {what}: {violations[0]} (and {len(violations) - 1} more)\n{case}", flush=True)
        attacked = sum(outcome.points["attacked"] for outcome in found.values())
        if attacked >= options.points or (time.monotonic() - start) / 60 > options.minutes:
            break
    if options.case is not None:
        print(case)
    _report(found, nets, time.monotonic() - start)
    return int(any(outcome.violations for outcome in found.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soundness.run", description="Tries to beat every bound.")
    parser.add_argument("--points", type=int, default=10**6, help="attacked points to try at least (default 10⁶)")
    parser.add_argument("--seed", type=int, default=0, help="other networks, inputs and points (default 0)")
    parser.add_argument("--minutes", type=float, default=60, help="stop after this time in any case (default 60)")
    parser.add_argument("--case", type=int, help="only the case of this number")
    parser.add_argument(
        "--certifiers", nargs="+", default=certifiers(), help="default: all; the exact one on tiny nets besides"
    )
    return parser


def _report(found: dict[str, Outcome], nets: Counter[str], seconds: float) -> None:
    total = Outcome()
    for outcome in found.values():
        total.add(outcome)
    rows = [
        [norm, nets[norm], 2 * nets[norm], *(outcome.points[kind] for kind in ("random", "extreme", "attacked"))]
        for norm, outcome in found.items()
    ]
    rows.append(["all", sum(nets.values()), 2 * sum(nets.values()), *(sum(r[c] for r in rows) for c in (3, 4, 5))])
    print("\nTried: in each ball's interior and border, at its extreme points, and on the way of attacks")
    print(_table(rows, ["norm", "networks", "balls", "random", "extreme", "attacked"]))

    checked = sorted(total.slack, key=lambda what: ("hidden" in what, "intervals" in what, what))
    rows = [[what, *(_cell(outcome, what) for outcome in found.values())] for what in checked if "verdicts" not in what]
    print("\nViolations of the bounds of margins and of nodes, and the smallest slack over the size of the numbers")
    print(_table(rows, ["bounds", *found]))

    rows = [
        [name, *(total.verdicts[name, kind] for kind in ("certified", "refused", "wrong")), _beaten(total, name)]
        for name in sorted({name for name, _ in total.verdicts})
    ]
    print("\nVerdicts of float32, the same points tried against them")
    print(_table(rows, ["certifier", "certified", "refused", "other class", "violations"]))

    print("\nNetworks in which there is")
    print(_table(sorted(total.kinds.items()), ["kind of layer", "networks"]))
    print("\nNetworks bounded in each state of torch that a caller may have set")
    print(_table(sorted(total.states.items()), ["state", "networks"]))
    unstable = total.inputs["unstable"] / max(1, total.inputs["all"])
    print(f"\nInputs of ReLUs and max-pools that may be of either sign: {unstable:.0%} of {total.inputs['all']:,}.")
    attacks = total.points["attacked"] // STEPS
    print(f"Attacks: {attacks:,} of {STEPS} steps.")
    violations = sum(map(len, total.violations.values()))
    print(f"{violations} violations in {seconds:.0f} s, torch {torch.__version__}, {platform.machine()}, one thread.")


def _cell(outcome: Outcome, what: str) -> str:
    if what not in outcome.slack:
        return "-"
    return f"{len(outcome.violations.get(what, []))} ({outcome.slack[what]:.0e})"


def _beaten(outcome: Outcome, name: str) -> int:
    return len(outcome.violations.get(f"{name}, verdicts", []))


def _table(rows: list, headers: list[str]) -> str:
    return tabulate(rows, headers, tablefmt="simple", intfmt=",")


if __name__ == "__main__":
    sys.exit(main())
