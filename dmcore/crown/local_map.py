"""The affine map that a ReLU network is around a point: each ReLU passes what it passes at the point."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.crown.backward import LinearRelaxation
from dmcore.errors import UserError, nearest
from dmcore.linear.coefficients import Coefficients, Dense
from dmcore.linear.forms import Form, Radius
from dmcore.nets.layers import MaxPool, ReLU
from dmcore.nets.network import INPUT, Network, Node
from dmcore.perturbation.ball import Ball

DUAL = {"linf": 1.0, "l2": 2.0, "l1": torch.inf}
"""q of the dual norm, 1/p + 1/q = 1."""


class LocalMap(LinearRelaxation):
    """Dual norms ‖∇z‖_q at the input, z any linear form of a node's values, with all ReLUs as they are at x.

    :meth:`box` and :meth:`substitute` give the range of ``∇z · δ`` over ``‖δ‖_p ≤ 1``, i.e. ±‖∇z‖_q.

    Args:
        values: every node's value at x, (B, *shape), from the input to the logits.
        norm: ``linf``, ``l2`` or ``l1``, the norm p.
    """

    def __init__(self, net: Network, values: list[Tensor], norm: str) -> None:
        if norm not in DUAL:
            raise UserError(f"unknown norm '{norm}': {nearest(norm, DUAL)}")
        super().__init__(net, Ball(values[INPUT], 0.0))
        self.values, self.order = values, DUAL[norm]

    def norms(self, index: int) -> Tensor:
        """‖∇z‖_q of each value z of node ``index``, of the node's shape (B or 1, *shape)."""
        return self.box(index).radius

    def norms_of(self, rows: Dense) -> Tensor:
        """‖∇z‖_q (B, R) of linear forms ``rows`` of the logits."""
        return -self.substitute(self.net.output, rows, upper=False)[0]

    def _concretise(self, at: int, form: Form, radius: Radius) -> None:
        norm = _norms(form.lower, self.order)
        radius.add(norm, norm)

    def reference(self, index: int) -> Tensor:
        """0: only how far the values move is asked for, not from where."""
        return torch.zeros_like(self.values[index])


def _norms(c: Coefficients, order: float) -> Tensor:
    """‖row‖ of each form over the input, (B, R), in the order of :meth:`Coefficients.dot`."""
    if isinstance(c, Dense):
        return torch.linalg.vector_norm(c.data.flatten(2), order, -1)
    return torch.linalg.vector_norm(c.mask().data, order, -1).flatten(1)  # the padding's coefficients do not count


@LocalMap.passes(ReLU)
def _relu(domain: LocalMap, node: Node, form: Form, radius: Radius) -> list[Form]:
    z = domain.values[node.parents[0]]
    return [form.map(lambda c: c.times((z > 0).to(z.dtype)))]


@LocalMap.passes(MaxPool)
def _pool(domain: LocalMap, node: Node, form: Form, radius: Radius) -> list[Form]:
    raise UserError("LocalMap has no rule for the layer MaxPool: the linear regions of a max-pool are not defined here")
