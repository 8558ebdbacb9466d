"""One trial: a network, a ball around each of a few inputs, and every point that can be tried against every bound.

The public functions are called in one of the states of torch that a caller may have set, another for each network.
All in float64. A bound may be beaten by what rounding explains, ``ROUNDING`` of the size of the numbers that are added
up, and by no more. A verdict of float32 may not be beaten at all.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from random import Random

import torch
from caller_states import STATES
from norm_balls import attacked_points, cut, extreme_points, random_points
from soundness.descriptions import Case
from soundness.networks import build, kinds, pixels
from torch import Tensor

from dmcore.bounds import interval_bounds
from dmcore.certify import CertificationResult, certify_points, margin_bounds
from dmcore.crown.bounds import relaxed_network
from dmcore.crown.relaxers import fixed_slope
from dmcore.domains import Interval, Magnitude
from dmcore.perturbation import Ball
from dmcore.registries import certifier

ROUNDING = 1e-12
EXACT, FEASIBILITY = "milp", 1e-6  # a solver's own tolerance takes the place of rounding
SLOW = ("alpha", EXACT)  # those that optimise for each point, tried on fewer and smaller networks
RELAXATIONS = {
    "hidden, relu": partial(relaxed_network, relaxer=fixed_slope("relu")),
    "hidden, ada": partial(relaxed_network, relaxer=fixed_slope("ada")),
    "hidden, zero": partial(relaxed_network, relaxer=fixed_slope("zero")),
    "hidden, unstable only": partial(relaxed_network, relaxer=fixed_slope("ada"), unstable_only=True),
    "hidden, intersected": partial(relaxed_network, relaxer=fixed_slope("relu"), intersect_ibp=True),
}
STEPS = 8

Bounds = dict[tuple[str, int], tuple[Tensor, Tensor]]
"""(lower, upper) of a node, by whose bounds they are and the node."""


@dataclass(frozen=True)
class Effort:
    """How many points are tried of each kind and ball; an attack tries ``STEPS`` on its way."""

    random: int = 300
    extreme: int = 300
    attacks: int = 64


@dataclass
class Outcome:
    """What trials found; outcomes add up.

    Attributes:
        points: tried, by kind.
        slack: by what was checked, how far the closest value stayed from its bound, over the size of the numbers.
        violations: what was beaten, by how much of that size, and where; by what was checked.
        kinds: in how many networks each kind of layer is.
        inputs: of ReLUs and max-pools, how many there are and how many are unstable (CNN-Cert-ReLU's bounds).
        verdicts: of float32, by certifier and verdict.
        states: how many networks were bounded in each state of torch that a caller may have set.
    """

    points: Counter[str] = field(default_factory=Counter)
    slack: dict[str, float] = field(default_factory=dict)
    violations: dict[str, list[str]] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    inputs: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)

    def add(self, other: Outcome) -> None:
        """Takes in what another trial found."""
        for mine, new in zip(self._counts(), other._counts(), strict=True):
            mine.update(new)
        for what, slack in other.slack.items():
            self.slack[what] = min(slack, self.slack.get(what, torch.inf))
        for what, violations in other.violations.items():
            self.violations.setdefault(what, []).extend(violations)

    def note(self, what: str, slack: Tensor, where: str, least: float = -ROUNDING) -> None:
        """Notes how far values stayed from their bounds, any shape."""
        closest = float(slack.min()) if slack.numel() else torch.inf
        self.slack[what] = min(closest, self.slack.get(what, torch.inf))
        if not closest >= least:  # NaN, too
            self.violations.setdefault(what, []).append(f"{where}: beaten by {-closest:.3g} of the size of the numbers")

    def _counts(self) -> tuple[Counter, ...]:
        return self.points, self.kinds, self.inputs, self.verdicts, self.states


class Trial:
    """A case with its network, inputs and labels.

    Attributes:
        x: (count, *shape), float64.
        y: the predicted classes, but for the last of several inputs', so that wrong labels occur, too.
    """

    def __init__(self, case: Case, count: int = 2) -> None:
        self.case, self.net, self.x = case, build(case), pixels(case, count)
        z = self.net(self.x)
        self.y = z.argmax(1)
        if count > 1:
            self.y[-1] = (self.y[-1] + 1) % z.shape[1]

    @property
    def ball(self) -> Ball:
        """The balls around all inputs."""
        return Ball(self.x, self.case.eps, self.case.norm, self.case.clip)

    @property
    def others(self) -> Tensor:
        """True but for the label, (count, K)."""
        return torch.arange(self.net(self.x).shape[1]) != self.y[:, None]

    @cached_property
    def sizes(self) -> list[Tensor]:
        """Of each node, what its values are added up from at most: (count, *shape)."""
        return [size.expand(len(self.x), *size.shape[1:]) for size in Magnitude().states(self.net, self.ball)]

    @cached_property
    def margin_size(self) -> Tensor:
        """The same of the margins: (count, K)."""
        size = self.sizes[-1]
        return _not_zero(size + size.gather(1, self.y[:, None]))

    def bounds(self, name: str) -> Tensor:
        """A certifier's bounds of the margins, (count, K)."""
        case = self.case
        return margin_bounds(self.net, self.x, self.y, case.eps, case.norm, name, case.clip, case.intersect)

    def verdicts(self, name: str, which: slice = slice(None)) -> CertificationResult:
        """A certifier's verdicts in float32, on the same network and some of the inputs."""
        case, single = self.case, copy.deepcopy(self.net).float()
        x, y = self.x[which].float(), self.y[which]
        return certify_points(single, x, y, case.eps, case.norm, name, case.clip, case.intersect)

    def intervals(self) -> tuple[Tensor, Tensor]:
        """Interval bounds of the logits in float32, around the inputs as float32 has them: (count, K) each."""
        case, single = self.case, copy.deepcopy(self.net).float()
        with torch.no_grad():
            return interval_bounds(single, self.x.float(), case.eps, case.norm, case.clip)

    def node_bounds(self) -> Bounds:
        """Intervals of all nodes, and what linear relaxations bound on the way; each (count, *shape)."""
        found: Bounds = {}
        for node, box in enumerate(Interval().states(self.net, self.ball)):
            found["intervals", node] = (box.lower, box.upper)
        for name, relaxation in RELAXATIONS.items():
            for node, box in relaxation(self.net, self.ball).boxes.items():
                found[name, node] = (box.lower, box.upper)
        full = len(self.x)
        return {at: tuple(side.expand(full, *side.shape[1:]) for side in sides) for at, sides in found.items()}

    def points(self, i: int, effort: Effort, seed: int) -> Iterator[tuple[str, Tensor]]:
        """Points of the ball around the i-th input, by kind."""
        x, (eps, norm) = self.x[i], (self.case.eps, self.case.norm)
        aims = Aims(self, i, self._places(effort.attacks // 2, seed))
        tried = {
            "random": random_points(x, eps, norm, effort.random, seed),
            "extreme": torch.cat([x[None], extreme_points(x, eps, norm, effort.extreme, seed)]),
            "attacked": attacked_points(aims, x, eps, norm, effort.attacks, seed, STEPS),
        }
        for kind, points in tried.items():
            yield kind, cut(points, x) if self.case.clip else points

    def values(self, points: Tensor) -> list[Tensor]:
        """The values of all nodes at points."""
        return self.net.walk(lambda layer, *inputs: layer(*inputs), points)

    def _places(self, count: int, seed: int) -> list[tuple[int, int]]:
        shapes = self.net.shapes(self.x)
        places = [(node, j) for node in range(1, self.net.output) for j in range(torch.Size(shapes[node]).numel())]
        order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
        return [places[k] for k in order[:count].tolist()]


@dataclass(frozen=True)
class Aims:
    """What is attacked: every margin, downwards, and some values of hidden nodes, up- and downwards in turn.

    Attributes:
        hidden: (node, place in it) of these values.
    """

    trial: Trial
    i: int
    hidden: list[tuple[int, int]]

    def __call__(self, points: Tensor) -> Tensor:
        values = self.trial.values(points)
        z = values[-1]
        margins = z - z[:, self.trial.y[self.i], None]
        sides = [values[node].flatten(1)[:, j] * (-1) ** k for k, (node, j) in enumerate(self.hidden)]
        repeats = max(1, len(sides) // margins.shape[1])
        return torch.cat([margins.repeat(1, repeats), *(side[:, None] for side in sides)], 1)


def certifiers() -> list[str]:
    """Those that bound every case in no time."""
    return [name for name in certifier.names() if name not in SLOW]


def slow_certifiers(norm: str) -> list[str]:
    """The others that know the norm: the exact one does not know ℓ2, and needs highspy."""
    exact = norm != "l2" and find_spec("highspy") is not None
    return [name for name in certifier.names() if name in SLOW and (exact or name != EXACT)]


def run(case: Case, effort: Effort, names: list[str], seed: int = 0, count: int = 2) -> Outcome:
    """Tries everything against the bounds and verdicts of the certifiers ``names``, and the bounds of hidden nodes."""
    trial, state = Trial(case, count), Random(seed).choice(list(STATES))
    outcome = Outcome(kinds=Counter(set(kinds(trial.net))), states=Counter([state]))
    with warnings.catch_warnings(action="ignore"), STATES[state]():  # of torch, on what is set
        bounds, verdicts = {name: trial.bounds(name) for name in names}, {name: trial.verdicts(name) for name in names}
        single = trial.intervals()
    boxes = trial.node_bounds()
    _count_unstable(boxes, outcome)
    for name in names:
        _check_verdicts(name, trial, bounds[name], verdicts[name], outcome)
    for i in range(count):
        certified = [name for name in names if verdicts[name].certified[i]]
        for kind, points in trial.points(i, effort, seed + i):
            outcome.points[kind] += len(points)
            values, where = trial.values(points), f"{kind} points around input {i}"
            others, z = trial.others[i], values[-1]
            margin = (z[:, trial.y[i], None] - z).amin(0)[others]
            for name, bound in bounds.items():
                slack = (margin - bound[i, others]) / trial.margin_size[i, others]
                outcome.note(name, slack, f"margins at {where}", -FEASIBILITY if name == EXACT else -ROUNDING)
            for name in certified:
                outcome.note(f"{name}, verdicts", margin.sign() - 1, f"certified, but wrong at {where}", least=0)
            lowest, highest = [v.amin(0) for v in values], [v.amax(0) for v in values]
            slack = torch.minimum(lowest[-1] - single[0][i], single[1][i] - highest[-1])
            outcome.note("intervals, float32", slack / _not_zero(trial.sizes[-1][i]), f"logits at {where}")
            for (what, node), (lower, upper) in boxes.items():
                slack = torch.minimum(lowest[node] - lower[i], upper[i] - highest[node])
                outcome.note(what, slack / _not_zero(trial.sizes[node][i]), f"node {node} at {where}")
    return outcome


def _check_verdicts(name: str, trial: Trial, bound: Tensor, verdicts: CertificationResult, outcome: Outcome) -> None:
    """What float32 certifies, float64 must bound above 0."""
    least = bound.amin(1)
    right = verdicts.predicted == trial.y
    for kind, seen in (("certified", verdicts.certified), ("refused", right & ~verdicts.certified), ("wrong", ~right)):
        outcome.verdicts[name, kind] += int(seen.sum())
    proven = least[verdicts.certified]
    outcome.note(f"{name}, verdicts", (proven > 0).double() - 1, "certified in float32, but not in float64", least=0)


def _count_unstable(boxes: Bounds, outcome: Outcome) -> None:
    for (what, _), (lower, upper) in boxes.items():
        if what == "hidden, relu":
            outcome.inputs["all"] += lower.numel()
            outcome.inputs["unstable"] += int(((lower < 0) & (upper > 0)).sum())


def _not_zero(size: Tensor) -> Tensor:
    return size.clamp(min=1e-30)
