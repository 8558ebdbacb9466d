"""Interval bounds that hold for real numbers: rounded outward. Training uses them as they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from dmcore.domains.interval import Interval
from dmcore.domains.magnitude import Magnitude
from dmcore.domains.underflow import underflow
from dmcore.linear.rounding import gamma, outward, roundings
from dmcore.nets.network import Network
from dmcore.perturbation.ball import Ball


def interval_errors(net: Network, ball: Ball) -> list[Tensor]:
    """How far interval bounds of each node may be off, computed in the dtype of ``ball.x``: (B, *shape).

    Each layer's sums err by γ of the sizes of what they add up, and its errors pass on like the sizes themselves.
    """
    sizes = Magnitude().states(net, ball)
    return [size * (2 * gamma(count, ball.x.dtype)) for size, count in zip(sizes, roundings(net), strict=True)]


@torch.no_grad()
def rounded_bounds(exact: Network, ball: Ball, nodes: Collection[int]) -> dict[int, tuple[Tensor, Tensor]]:
    """(lower, upper) interval bounds of some nodes, in the dtype of ``ball.x``, rounded outward by all errors.

    Args:
        exact: the network in float64, in which they are computed.
    """
    wide = replace(ball, x=ball.x.double())
    lost = underflow(exact, wide, nodes, rows=1.0, dtype=ball.x.dtype)
    states, errors = Interval().states(exact, wide), [error + lost for error in interval_errors(exact, wide)]
    return {
        index: (
            outward(states[index].lower - errors[index], ball.x.dtype, -1),
            outward(states[index].upper + errors[index], ball.x.dtype, +1),
        )
        for index in nodes
    }
