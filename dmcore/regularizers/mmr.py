"""Maximum margin regularisation, MMR (Croce, Andriushchenko & Hein 2019; Table 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dmcore.crown.backward import backward
from dmcore.crown.margins import by_class, margin_rows
from dmcore.errors import UserError, nearest
from dmcore.linear.coefficients import Coefficients
from dmcore.linear.forms import Form, LowerUpper
from dmcore.linear.unit import of_each_value
from dmcore.nets.layers import ReLU
from dmcore.nets.network import INPUT, Network, Node
from dmcore.registries import regularizer
from dmcore.regularizers import Batch, Regularizer

DUAL = {"linf": 1.0, "l2": 2.0, "l1": torch.inf}
"""q of the dual norm, 1/p + 1/q = 1."""


@regularizer("mmr")
@dataclass
class MMR(Regularizer):
    """R = E[mean of max(0, 1 − d_B/γ_B) over the nearest ReLU hyperplanes + mean of max(0, 1 − d_D/γ_D) over classes].

    Around x the network is affine. d_B = |z|/‖∇z‖_q is the distance of x, in the norm p, to the hyperplane on which a
    ReLU's input z is 0, and d_D = (z_y − z_j)/‖∇(z_y − z_j)‖_q that to the decision boundary of class j ≠ y, negative
    where x is on the wrong side. Nothing is sampled or left out: the gradients of all pre-activations are computed.

    Give the term ``ramp: true``: γ follows ε, and R means nothing at ε = 0.

    Attributes:
        norm: in which distances are measured.
        gamma_b_of_eps: γ_B/ε, how far ReLU hyperplanes should be away.
        gamma_d_of_eps: γ_D/ε, how far decision boundaries should be away.
        nearest: the share of all ReLUs that count, the nearest ones of each sample (k_B over their number).
    """

    NEEDS_EPS = True

    norm: Literal["linf", "l2", "l1"] = "linf"
    gamma_b_of_eps: float = 1.0
    gamma_d_of_eps: float = 1.0
    nearest: float = 0.06

    def __post_init__(self) -> None:
        if self.norm not in DUAL:
            raise UserError(f"mmr: unknown norm '{self.norm}': {nearest(self.norm, DUAL)}")
        if not 0 < self.nearest <= 1:
            raise UserError(f"mmr: nearest is a share in (0, 1], got {self.nearest}")
        if min(self.gamma_b_of_eps, self.gamma_d_of_eps) <= 0:
            raise UserError(f"mmr: γ must be > 0, got {self.gamma_b_of_eps} and {self.gamma_d_of_eps} of ε")

    def value(self, batch: Batch) -> Tensor:
        """R on the batch; also tells it the clean logits."""
        net = batch.net
        values = net.walk(lambda layer, *inputs: layer(*inputs), batch.x)
        batch.logits = values[-1]

        def work(points: slice) -> Tensor:
            own = [v[points] for v in values]
            hyperplanes = relu_distances(net, own, self.norm)
            boundaries = boundary_distances(net, own, batch.y[points], self.norm)
            near = hyperplanes.topk(max(1, round(self.nearest * hyperplanes.shape[1])), largest=False).values
            inner = (1 - near / (self.gamma_b_of_eps * batch.eps)).relu().mean(1)
            outer = (1 - boundaries / (self.gamma_d_of_eps * batch.eps)).relu().sum(1) / (boundaries.shape[1] - 1)
            return inner + outer

        return batch.recomputed(work).mean()


def relu_distances(net: Network, values: list[Tensor], norm: str) -> Tensor:
    """The distances d_B (B, N) from each point to the hyperplanes of all N ReLUs; inf for one that nothing moves.

    Args:
        values: every node's value at the points, (B, *shape), from the input to the logits.
    """

    def distances(index: int) -> Tensor:
        (size,) = of_each_value(net, values[INPUT], index, lambda r: [gradient_norms(net, values, index, r, norm)])
        return _ratio(values[index].abs(), size).flatten(1)

    parents = {p for node in net.nodes() if isinstance(node.layer, ReLU) for p in node.parents}
    return torch.cat([distances(index) for index in sorted(parents)], 1)


def boundary_distances(net: Network, values: list[Tensor], y: Tensor, norm: str) -> Tensor:
    """The signed distances d_D (B, K) to the decision boundaries between y and each class j; inf at j = y."""
    z = values[-1]
    rows = margin_rows(y, z.shape[1], z)
    sizes = by_class(gradient_norms(net, values, net.output, rows, norm), y, 0)
    return _ratio(z.gather(1, y[:, None]) - z, sizes)


def gradient_norms(net: Network, values: list[Tensor], index: int, rows: Coefficients, norm: str) -> Tensor:
    """‖∇z‖_q (B or 1, R) of linear forms ``rows`` of node ``index``, with each ReLU as it is where ``values`` are."""

    def frozen(node: Node, form: Form) -> Form:
        if not isinstance(node.layer, ReLU):
            name = type(node.layer).__name__
            raise UserError(f"mmr has no rule for the layer {name}: its linear regions are not defined here")
        z = values[node.parents[0]]
        return form.map(lambda c: c.times((z > 0).to(z.dtype)))

    ends = backward(net, net.shapes(values[INPUT]), index, LowerUpper(rows, rows), frozen)
    return ends[INPUT].lower.norm(DUAL[norm])


def _ratio(value: Tensor, norm: Tensor) -> Tensor:
    moves = norm > 0
    return torch.where(moves, value / torch.where(moves, norm, 1.0), torch.inf)
