"""Bounds of hidden layers and of linear forms of the logits, by backward substitution."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

import torch
from torch import Tensor

from dmcore.crown.backward import substitute
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.crown.rounding import outward_box
from dmcore.linear.chunks import map_chunks, row_chunk
from dmcore.linear.coefficients import Coefficients
from dmcore.linear.relaxations import Slope
from dmcore.linear.unit import of_each_value, one_hot
from dmcore.nets.layers import Nonlinear, ReLU
from dmcore.nets.network import Network
from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box

MAX_PICKED = 0.5  # up to this share of a node's values are worth picking out, rather than bounding all of them


def relaxed_network(
    net: Network,
    ball: Ball,
    slope: Slope,
    unstable_only: bool = False,
    intersect_ibp: bool = False,
    exact: Network | None = None,
    fitting: dict[Hashable, int] | None = None,
) -> RelaxedNetwork:
    """The relaxed network with bounds of every non-linear layer's input, found in order by full backward substitution.

    Args:
        unstable_only: bound only those inputs of ReLUs whose sign an interval pre-bound leaves open, which is faster.
            The bounds of the outputs are the same.
        intersect_ibp: let no bound leave the interval bounds. An interval pass runs along with the substitution, and
            each makes the other's next bounds tighter.
        exact, fitting: as :class:`RelaxedNetwork` has them.
    """
    step = None
    if intersect_ibp:
        step = RelaxedNetwork(net, ball, slope, stop=nonlinear_nodes(net), exact=exact)
    relaxed = RelaxedNetwork(
        net, ball, slope, exact=exact, interval_step=step, fitting={} if fitting is None else fitting
    )
    for node in net.nodes():
        if not isinstance(node.layer, Nonlinear):
            continue
        (parent,) = node.parents
        if parent not in relaxed.boxes:
            prebound = None
            if unstable_only and only_signs_matter(net, parent):
                prebound = relaxed.interval(parent) if step is None else node_box(step, parent)
            relaxed.boxes[parent] = node_box(relaxed, parent, prebound)
        if step is not None:
            box = relaxed.boxes[parent]
            step.boxes[node.index] = Box.between(node.layer(box.lower), node.layer(box.upper))
    return relaxed


def nonlinear_nodes(net: Network) -> frozenset[int]:
    """The nodes that hold the output of a non-linear layer."""
    return frozenset(node.index for node in net.nodes() if isinstance(node.layer, Nonlinear))


def linear_bounds(
    relaxed: RelaxedNetwork, index: int, start: Coefficients, upper: bool = True
) -> tuple[Tensor, Tensor]:
    """As :func:`substitute`, and with an interval step the better bounds of the two."""
    bounds = substitute(relaxed, index, start, upper)
    if relaxed.interval_step is None:
        return bounds
    others = substitute(relaxed.interval_step, index, start, upper)
    lower = torch.maximum(bounds[0], others[0])
    return uncrossed(lower, torch.minimum(bounds[1], others[1])) if upper else (lower, lower)


def node_box(relaxed: RelaxedNetwork, index: int, prebound: Box | None = None) -> Box:
    """Bounds of every value of node ``index``; with a ``prebound``, only of those whose sign that leaves open."""
    shape = relaxed.shapes[index]
    if prebound is not None:
        unstable = ((prebound.lower < 0) & (prebound.upper > 0)).flatten(1)
        most = int(unstable.sum(1).max()) if len(unstable) else 0
        # A second convolution in full is one convolution of slopes: what is picked out must be few to be cheaper.
        second = len(shape) == 3 and relaxed.net.nonlinear_depth()[index] == 1
        if most < (MAX_PICKED / 5 if second else MAX_PICKED) * unstable.shape[1]:
            return _refined(relaxed, index, prebound, unstable, most)
    bounds = partial(linear_bounds, relaxed, index)
    return _box(relaxed, *of_each_value(relaxed.net, relaxed.ball.x, index, bounds, relaxed.fitting))


def _refined(relaxed: RelaxedNetwork, index: int, prebound: Box, unstable: Tensor, most: int) -> Box:
    """The pre-bound with the bounds of its unstable values put in; a sample has at most ``most`` of them."""
    if most == 0:
        return prebound
    shape, x = relaxed.shapes[index], relaxed.ball.x
    # As many for each sample: those with fewer get some of the others, too, whose bounds hold as well.
    chosen = unstable.int().argsort(dim=1, descending=True, stable=True)[:, :most]

    def bound(columns: slice) -> tuple[Tensor, Tensor]:
        return linear_bounds(relaxed, index, one_hot(chosen[:, columns], shape, x))

    parts = map_chunks(most, row_chunk(relaxed.net, x, index, most), bound, relaxed.fitting, (index, "values"))
    sides = (torch.cat(side, dim=1) for side in zip(*parts, strict=True))
    wide = (prebound.lower.flatten(1), prebound.upper.flatten(1))
    lower, upper = (w.scatter(1, chosen, own).reshape(-1, *shape) for w, own in zip(wide, sides, strict=True))
    return _box(relaxed, lower, upper)


def _box(relaxed: RelaxedNetwork, lower: Tensor, upper: Tensor) -> Box:
    return Box.between(lower, upper) if relaxed.errors is None else outward_box(lower, upper)


def only_signs_matter(net: Network, index: int) -> bool:
    """Whether ReLUs alone bend this node, and others come before it: first layers are bounded as fast in full."""
    readers = [node.layer for node in net.nodes() if index in node.parents and isinstance(node.layer, Nonlinear)]
    return all(isinstance(layer, ReLU) for layer in readers) and net.nonlinear_depth()[index] > 0


def intersection(boxes: list[Box]) -> Box:
    """What all the boxes of one node, each of them valid, have in common."""
    lower = torch.stack([box.lower for box in boxes]).amax(0)
    return Box.between(*uncrossed(lower, torch.stack([box.upper for box in boxes]).amin(0)))


def uncrossed(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Two valid bounds can only cross by rounding, where a value is all but known; the wrong order would lose it."""
    return torch.minimum(lower, upper), torch.maximum(lower, upper)
