"""The affine map that a ReLU network is around a point: each ReLU passes what it passes at the point."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dmcore.crown.backward import backward
from dmcore.errors import UserError, nearest
from dmcore.linear.coefficients import Coefficients
from dmcore.linear.dense import Dense
from dmcore.linear.forms import Form, LowerUpper
from dmcore.linear.unit import of_each_value
from dmcore.nets.layers import ReLU
from dmcore.nets.network import INPUT, Network, Node

DUAL = {"linf": 1.0, "l2": 2.0, "l1": torch.inf}
"""q of the dual norm, 1/p + 1/q = 1."""


@dataclass(frozen=True)
class LocalMap:
    """Dual norms ‖∇z‖_q at the input, z any linear form of a node's values, with all ReLUs as they are at x.

    Attributes:
        values: every node's value at x, (B, *shape), from the input to the logits.
        norm: ``linf``, ``l2`` or ``l1``, the norm p.

    Raises:
        UserError: another norm; a max-pool.
    """

    net: Network
    values: list[Tensor]
    norm: str

    def __post_init__(self) -> None:
        if self.norm not in DUAL:
            raise UserError(f"unknown norm '{self.norm}': {nearest(self.norm, DUAL)}")

    def norms(self, index: int) -> Tensor:
        """‖∇z‖_q of each value z of node ``index``, of the node's shape (B or 1, *shape)."""
        (norms,) = of_each_value(self.net, self.values[INPUT], index, lambda start: [self._norms(index, start)])
        return norms

    def norms_of(self, rows: Dense) -> Tensor:
        """‖∇z‖_q (B, R) of linear forms ``rows`` of the logits."""
        return self._norms(self.net.output, rows)

    def _norms(self, index: int, start: Coefficients) -> Tensor:
        shapes = self.net.shapes(self.values[INPUT])
        ends = backward(self.net, shapes, index, LowerUpper(start, start), self._frozen)
        return ends[INPUT].lower.norm(DUAL[self.norm])

    def _frozen(self, node: Node, form: Form) -> Form:
        """A ReLU as it is at x: it passes the values that are above 0 there."""
        if not isinstance(node.layer, ReLU):
            name = type(node.layer).__name__
            raise UserError(f"mmr has no rule for the layer {name}: its linear regions are not defined here")
        z = self.values[node.parents[0]]
        return form.map(lambda c: c.times((z > 0).to(z.dtype)))
