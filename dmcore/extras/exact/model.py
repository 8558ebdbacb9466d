"""A network over a ball as a mixed-integer program (Tjeng et al. 2019), without loss: each layer kind has its rule.

A node is an affine form of the inputs and of the outputs of those ReLUs and max-pools that are not decided on the ball;
these alone are columns of the program. All columns are scaled to [−1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dmcore.domains import Magnitude
from dmcore.domains.domain import RuleTable
from dmcore.errors import UserError
from dmcore.extras.exact.ball import InputColumns, as_vector
from dmcore.extras.exact.program import OPENING, Program, Vector
from dmcore.linear.rounding import gamma, roundings
from dmcore.nets.layers import Affine, Flatten, MaxPool, ReLU, Sum
from dmcore.nets.network import Network
from dmcore.perturbation import Ball, Box

MIN_ROUNDING = 1e-11  # of float64, against the size of all numbers added up: more than γ of all but huge networks
MOST_BINARIES = 2000


@dataclass(frozen=True)
class AffineForm:
    """``Σ_k e_k · slope[k] + constant`` in the columns e of the model's first ``len(slope)`` entries.

    Attributes:
        slope: (V, *shape).
        constant: (1, *shape).
    """

    slope: Tensor
    constant: Tensor


class Model(RuleTable):
    """The program of one point.

    Args:
        net: in float64.
        ball: of one point, in float64.
        boxes: of the inputs of all non-linear layers, by node.

    Attributes:
        rounding: by node, by how much float64 may have got its values and its bounds wrong.

    Raises:
        UserError: the norm ℓ2, or more than ``MOST_BINARIES`` binaries.
    """

    def __init__(self, net: Network, ball: Ball, boxes: dict[int, Box]) -> None:
        self.program = Program()
        self.inputs = InputColumns(self.program, ball)
        self.columns = self.inputs.columns
        columns = ball.x.numel() + MOST_BINARIES  # at most: over these a form is added up
        self.rounding = [
            size * max(MIN_ROUNDING, 2 * gamma(count + columns, torch.float64))
            for size, count in zip(Magnitude().states(net, ball), roundings(net), strict=True)
        ]
        self.limits = {
            index: (box.lower - self.rounding[index], box.upper + self.rounding[index]) for index, box in boxes.items()
        }
        self._check_size(net, ball)
        slope = torch.diag(self.inputs.scale.flatten()).reshape(-1, *ball.x.shape[1:])
        nodes = [AffineForm(slope, ball.x)]
        for node in net.nodes():
            nodes.append(self.rule(node.layer)(self, node.layer, node.parents, *(nodes[p] for p in node.parents)))
        self.output = nodes[-1]

    def _check_size(self, net: Network, ball: Ball) -> None:
        count = ball.x.numel() if ball.norm == "l0" else 0
        for node in net.nodes():
            if isinstance(node.layer, ReLU | MaxPool):
                count += binaries(node.layer, *self.limits[node.parents[0]])
        if count > MOST_BINARIES:
            raise UserError(
                f"the certifier milp needs {count} binaries at a point, more than {MOST_BINARIES}, and would not end: "
                "take a smaller ε or a smaller network"
            )

    def add_outputs(self, form: AffineForm, at: Tensor, base: Tensor, width: Tensor) -> tuple[AffineForm, Vector]:
        """Puts columns of the program into some entries of a form: ``base + width · e`` with e in [0, 1].

        Args:
            form: with zeros at these entries.
            at: where, (*shape), m entries.
            base, width: (m,).

        Returns:
            The form, and the columns e.
        """
        zero = np.zeros(len(width))
        columns = self.program.add_columns(zero, zero + 1)
        self.columns = np.concatenate([self.columns, columns])
        own = form.slope.new_zeros(len(width), *at.shape)
        own[:, at] = torch.diag(width)
        constant = form.constant.clone()
        constant[0, at] = base
        return AffineForm(torch.cat([_padded(form.slope, len(self.columns) - len(width)), own]), constant), columns

    def dense(self, slope: Tensor, unit: Tensor) -> tuple[Vector, Vector]:
        """What −slope (V, m), in the given ``unit`` of each row (m,), is as terms of m rows."""
        return self.columns[: len(slope)], (-slope / unit).T.cpu().numpy()

    def minimum(self, row: Tensor, time_limit: float, node_limit: int) -> tuple[float, Tensor | None, bool]:
        """(bound, input, solved) of the minimum of one linear form (K,) of the logits; see :meth:`Program.minimum`."""
        cost = as_vector(_padded(self.output.slope, len(self.columns)) @ row)
        constant = float(self.output.constant[0] @ row)
        bound, point, solved = self.program.minimum(self.columns, cost, time_limit, node_limit)
        return bound + constant, None if point is None else self.inputs.input(point), solved


def unstable(lower: Tensor, upper: Tensor) -> Tensor:
    """Where a ReLU's input may be of either sign."""
    return (lower < 0) & (upper > 0)


def candidates(pool: MaxPool, lower: Tensor, upper: Tensor) -> Tensor:
    """(1, C, H', W', k·k): which entries of a window can be its largest; where one alone, it is."""
    low, high = pool.windows(lower, -torch.inf), pool.windows(upper, -torch.inf)
    floor = low.max(-1, keepdim=True)
    return (high > floor.values).scatter(-1, floor.indices, True)


def binaries(layer: ReLU | MaxPool, lower: Tensor, upper: Tensor) -> int:
    """How many binaries a layer needs: one for each unstable ReLU and each candidate of an undecided window."""
    if isinstance(layer, ReLU):
        return int(unstable(lower, upper).sum())
    can = candidates(layer, lower, upper)
    return int((can & (can.sum(-1, keepdim=True) > 1)).sum())


def _padded(slope: Tensor, count: int) -> Tensor:
    """The same form with zeros for the columns that came later."""
    return torch.cat([slope, slope.new_zeros(count - len(slope), *slope.shape[1:])])


@Model.passes(Affine)
def _affine(model: Model, layer: Affine, parents: tuple[int, ...], form: AffineForm) -> AffineForm:
    return AffineForm(layer.linear(form.slope), layer(form.constant))


@Model.passes(Flatten)
def _flatten(model: Model, layer: Flatten, parents: tuple[int, ...], form: AffineForm) -> AffineForm:
    return AffineForm(layer(form.slope), layer(form.constant))


@Model.passes(Sum)
def _sum(model: Model, layer: Sum, parents: tuple[int, ...], *forms: AffineForm) -> AffineForm:
    count = max(len(form.slope) for form in forms)
    slopes = [_padded(form.slope, count) for form in forms]
    return AffineForm(layer(*slopes), layer(*(form.constant for form in forms)))


@Model.passes(ReLU)
def _relu(model: Model, layer: ReLU, parents: tuple[int, ...], form: AffineForm) -> AffineForm:
    """y − s = z with y = max(z, 0) ∈ [0, u], s = max(−z, 0) ∈ [0, −l], of which a binary a lets one be above 0."""
    (parent,) = parents
    lower, upper = model.limits[parent]
    at = unstable(lower, upper)[0]
    kept = (lower >= 0).to(lower)
    z, low, high = form.slope[:, at], lower[0, at], upper[0, at]
    width = high - low
    out, y = model.add_outputs(AffineForm(form.slope * kept, form.constant * kept), at, 0 * high, high)
    zero, one = np.zeros(len(y)), np.ones(len(y))
    s, a = model.program.add_columns(zero, one), model.program.add_binaries(len(y))
    constant, opening = (
        as_vector(form.constant[0, at] / width),
        OPENING + as_vector(model.rounding[parent][0, at] / width),
    )
    terms = (y, as_vector(high / width)), (s, as_vector(low / width)), model.dense(z, width)
    model.program.add_rows(constant, constant, *terms, opening=opening)
    model.program.add_rows(-np.inf, 0.0, (y, one), (a, -one))
    model.program.add_rows(-np.inf, 1.0, (s, one), (a, one))
    return out


@Model.passes(MaxPool)
def _pool(model: Model, pool: MaxPool, parents: tuple[int, ...], form: AffineForm) -> AffineForm:
    """y ≥ z_i for every candidate of a window, and y ≤ z_i for the one whose binary is 1."""
    (parent,) = parents
    lower, upper = model.limits[parent]
    low, high = pool.windows(lower, -torch.inf)[0], pool.windows(upper, -torch.inf)[0]
    slope, constant = pool.windows(form.slope, 0.0), pool.windows(form.constant, 0.0)
    rounding = pool.windows(model.rounding[parent], 0.0)[0]
    can = candidates(pool, lower, upper)[0]
    at = can.sum(-1) > 1
    only = (can & ~at[..., None]).to(lower)
    decided = AffineForm((slope * only).sum(-1), (constant * only).sum(-1))
    if not at.any():
        return decided
    floor, top = low[at].amax(-1), high[at].amax(-1)
    out, y = model.add_outputs(decided, at, floor, top - floor)
    pick = can[at]
    window = as_vector(pick.nonzero()[:, 0])  # of each candidate
    z, c, low = slope[:, at][:, pick], constant[0, at][pick], low[at][pick]
    others = _largest_of_others(high[at])[pick]
    floor, top = floor[window], top[window]
    width = top - low
    a = model.program.add_binaries(len(window))
    opening = OPENING + as_vector(rounding[at][pick] / width)
    terms = (y[window], as_vector((top - floor) / width)), model.dense(z, width)
    above, slack = as_vector((c - floor) / width), as_vector((others - low).clamp(min=0) / width)
    model.program.add_rows(above, np.inf, *terms, opening=opening)
    model.program.add_rows(-np.inf, above + slack, *terms, (a, slack), opening=opening)
    for k in range(len(y)):
        model.program.choose(a[window == k], 1, 1)
    return out


def _largest_of_others(high: Tensor) -> Tensor:
    """For each entry of the last axis the largest of the others, of which there is at least one."""
    first, second = high.topk(2).values.unsqueeze(-2).unbind(-1)
    own = high.argmax(-1, keepdim=True)
    return torch.where(torch.arange(high.shape[-1], device=high.device) == own, second, first)
