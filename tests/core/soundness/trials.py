"""Every point that can be tried against every bound of a case, all in float64.

The public functions are called in one of the states of torch that a caller may have set, another for each network.
A bound may be beaten by what rounding explains, ``ROUNDING`` of the size of the numbers that are added up, and by no
more. A verdict of float32 may not be beaten at all.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from random import Random

import torch
from caller_states import STATES
from norm_balls import attacked_points, cut, extreme_points, random_points
from soundness.cases import Case
from torch import Tensor

from dmcore.registries import certifier

ROUNDING = 1e-12
EXACT, FEASIBILITY = "milp", 1e-6  # a solver's own tolerance takes the place of rounding
SLOW = ("alpha", EXACT)  # those that optimise for each point, tried on fewer and smaller networks


@dataclass(frozen=True)
class Effort:
    """How many points are tried of each kind and ball; an attack tries all on its way."""

    random: int = 300
    extreme: int = 300
    attacks: int = 64


@dataclass
class Outcome:
    """What trials found.

    Attributes:
        points: tried, by kind.
        slack: by what was checked, how far the closest value stayed from its bound, over the size of the numbers.
        violations: what was beaten, by how much of that size, and where; by what was checked.
        verdicts: of float32, by certifier and verdict.
    """

    points: Counter[str] = field(default_factory=Counter)
    slack: dict[str, float] = field(default_factory=dict)
    violations: dict[str, list[str]] = field(default_factory=dict)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, what: str, slack: Tensor, where: str, least: float = -ROUNDING) -> None:
        """Notes how far values stayed from their bounds, any shape."""
        closest = float(slack.min()) if slack.numel() else torch.inf
        self.slack[what] = min(closest, self.slack.get(what, torch.inf))
        if not closest >= least:  # NaN, too
            self.violations.setdefault(what, []).append(f"{where}: beaten by {-closest:.3g} of the size of the numbers")


def certifiers() -> list[str]:
    """Those that bound every case in no time."""
    return [name for name in certifier.names() if name not in SLOW]


def slow_certifiers(norm: str) -> list[str]:
    """The others that know the norm: the exact one does not know ℓ2, and needs highspy."""
    exact = norm != "l2" and find_spec("highspy") is not None
    return [name for name in certifier.names() if name in SLOW and (exact or name != EXACT)]


def run(case: Case, effort: Effort, names: list[str], seed: int = 0, outcome: Outcome | None = None) -> Outcome:
    """Tries everything against the bounds and verdicts of the certifiers ``names``, and the bounds of hidden nodes."""
    outcome = Outcome() if outcome is None else outcome
    state = Random(seed).choice(list(STATES))
    with warnings.catch_warnings(action="ignore"), STATES[state]():  # of torch, on what is set
        bounds, verdicts = {name: case.bounds(name) for name in names}, {name: case.verdicts(name) for name in names}
        single = case.intervals()
    boxes = case.node_bounds()
    for name in names:
        right, certified = verdicts[name].predicted == case.y, verdicts[name].certified
        for kind, seen in (("certified", certified), ("refused", right & ~certified), ("wrong", ~right)):
            outcome.verdicts[name, kind] += int(seen.sum())
        proven = bounds[name].amin(1)[certified]
        outcome.note(
            f"{name}, verdicts", (proven > 0).double() - 1, "certified in float32, but not in float64", least=0
        )
    for i in range(len(case.x)):
        others, size = case.others[i], case.margin_size[i]
        for kind, points in _points(case, i, effort, seed + i):
            outcome.points[kind] += len(points)
            values, where = case.values(points), f"{kind} points around input {i}"
            margin = (values[-1][:, case.y[i], None] - values[-1]).amin(0)[others]
            for name, bound in bounds.items():
                slack = (margin - bound[i, others]) / size[others]
                outcome.note(name, slack, f"margins at {where}", -FEASIBILITY if name == EXACT else -ROUNDING)
                if verdicts[name].certified[i]:
                    outcome.note(f"{name}, verdicts", margin.sign() - 1, f"certified, but wrong at {where}", least=0)
            checked = {("intervals, float32", case.net.output): single, **boxes}
            for (what, node), (lower, upper) in checked.items():
                slack = torch.minimum(values[node].amin(0) - lower[i], upper[i] - values[node].amax(0))
                outcome.note(what, slack / case.sizes[node][i], f"node {node} at {where}")
    return outcome


def _points(case: Case, i: int, effort: Effort, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Points of the ball around the i-th input, by kind.

    What is attacked: every margin, downwards, and some values of hidden nodes, up- and downwards in turn.
    """
    x, ball, shapes = case.x[i], (case.eps, case.norm), case.net.shapes(case.x)
    places = [(node, j) for node in range(1, case.net.output) for j in range(torch.Size(shapes[node]).numel())]
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
    hidden = [places[k] for k in order[: effort.attacks // 2].tolist()]

    def aims(points: Tensor) -> Tensor:
        values = case.values(points)
        margins = values[-1] - values[-1][:, case.y[i], None]
        sides = [values[node].flatten(1)[:, j, None] * (-1) ** k for k, (node, j) in enumerate(hidden)]
        return torch.cat([margins.repeat(1, max(1, len(sides) // margins.shape[1])), *sides], 1)

    tried = {
        "random": random_points(x, *ball, effort.random, seed),
        "extreme": torch.cat([x[None], extreme_points(x, *ball, effort.extreme, seed)]),
        "attacked": attacked_points(aims, x, *ball, effort.attacks, seed),
    }
    for kind, points in tried.items():
        yield kind, cut(points, x) if case.clip else points
