"""Linear relaxation whose bounds never leave the interval ones: the option ``intersect_ibp``, beyond the paper."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.crown.backward import LinearRelaxation
from dmcore.linear.coefficients import Coefficients
from dmcore.nets.layers import Nonlinear
from dmcore.perturbation.box import Box


class Intersected(LinearRelaxation):
    """Every bound is the better of two: substituted back to the input, and to the last non-linear layers alone.

    The second is the interval step (IBP) from these layers' boxes, which are intersected ones themselves; so an
    interval pass runs along with the substitution and each makes the other's next bounds tighter.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        nonlinear = frozenset(node.index for node in self.net.nodes() if isinstance(node.layer, Nonlinear))
        self.step = LinearRelaxation(self.net, self.ball, stop=nonlinear, exact=self.exact)

    def bound_hidden(self) -> Intersected:
        """Bounds every non-linear layer's input, and from it the layer's output for the interval steps behind."""
        for node in self.net.nodes():
            if isinstance(node.layer, Nonlinear):
                (parent,) = node.parents
                if parent not in self.boxes:
                    decides = self.signs_only and self.only_signs_matter(parent)
                    self.boxes[parent] = self.box(parent, self.step.box(parent) if decides else None)
                box = self.boxes[parent]
                self.step.boxes[node.index] = Box.between(node.layer(box.lower), node.layer(box.upper))
        return self

    def substitute(self, index: int, start: Coefficients, upper: bool = True) -> tuple[Tensor, Tensor]:
        """The better one of both bounds; as :meth:`LinearRelaxation.substitute`."""
        substituted, stepped = (
            LinearRelaxation.substitute(relaxation, index, start, upper) for relaxation in (self, self.step)
        )
        lower = torch.maximum(substituted[0], stepped[0])
        return uncrossed(lower, torch.minimum(substituted[1], stepped[1])) if upper else (lower, lower)


def intersection(boxes: list[Box]) -> Box:
    """What all the boxes of one node, each of them valid, have in common."""
    lower = torch.stack([box.lower for box in boxes]).amax(0)
    return Box.between(*uncrossed(lower, torch.stack([box.upper for box in boxes]).amin(0)))


def uncrossed(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Two valid bounds can only cross by rounding, where a value is all but known; the wrong order would lose it."""
    return torch.minimum(lower, upper), torch.maximum(lower, upper)
