"""The first affine layer, where the norm of the input's ball comes in: behind it all domains know ranges alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from dmcore.linear.concretize import concretize, symmetric
from dmcore.linear.dense import Dense
from dmcore.linear.unit import identity
from dmcore.nets.layers import Affine, Flatten, Normalize
from dmcore.nets.network import INPUT, Network
from dmcore.perturbation.ball import Ball


@dataclass(frozen=True)
class FirstLayer:
    """The exact range of an affine layer over the ball: ``[z − fall, z + rise]``.

    Attributes:
        ball: the ball of inputs.
        layers: from the input on; the last one is the affine layer, those before it only scale or rearrange pixels.
    """

    ball: Ball
    layers: tuple[Affine | Flatten, ...]

    @property
    def z(self) -> Tensor:
        """The layer's value at x, (B, *out_shape)."""
        return self._values[-1]

    @cached_property
    def rise(self) -> Tensor:
        """How far above z the values get, (B or 1, *out_shape)."""
        return self._range(upward=True)

    @cached_property
    def fall(self) -> Tensor:
        """How far below z the values get, (B or 1, *out_shape)."""
        return self.rise if symmetric(self.ball) else self._range(upward=False)

    @property
    def half_range(self) -> Tensor:
        """½(rise + fall), equation (7)'s first margin s¹ in any norm."""
        return self.rise if symmetric(self.ball) else (self.rise + self.fall) / 2

    @cached_property
    def _values(self) -> list[Tensor]:
        values = [self.ball.x]
        for layer in self.layers:
            values.append(layer(values[-1]))
        return values

    def _range(self, upward: bool) -> Tensor:
        shapes = [tuple(v.shape[1:]) for v in self._values]
        forms = start = identity(shapes[-1], self.ball.x)
        for layer, in_shape in zip(reversed(self.layers), reversed(shapes[:-1]), strict=True):
            if isinstance(layer, Flatten):
                forms = Dense(forms.dense().unflatten(2, in_shape))
            else:
                forms = forms.through(layer, in_shape)
        return start.rows(concretize(forms, self.ball, upward)).reshape(-1, *shapes[-1])


def first_layers(net: Network, ball: Ball) -> dict[int, FirstLayer]:
    """By their nodes, the affine layers whose input is the network's own, or that normalised or flattened."""
    behind: dict[int, tuple[Affine | Flatten, ...]] = {INPUT: ()}
    found = {}
    for node in net.nodes():
        parent = node.parents[0]
        if parent in behind and isinstance(node.layer, Affine | Flatten):
            layers = (*behind[parent], node.layer)
            if isinstance(node.layer, Normalize | Flatten):
                behind[node.index] = layers
            else:
                found[node.index] = FirstLayer(ball, layers)
    return found
