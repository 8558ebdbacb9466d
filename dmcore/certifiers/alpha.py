"""CNN-Cert with optimised lower bounds of ReLUs, beyond the paper (α-CROWN: Xu et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dmcore.certifiers.certifier import Certifier
from dmcore.crown.backward import substitute
from dmcore.crown.bounds import intersection, linear_bounds, uncrossed
from dmcore.crown.relaxed import RelaxedNetwork, Slopes
from dmcore.linear.chunks import map_chunks
from dmcore.linear.dense import Dense
from dmcore.linear.relaxations import SLOPES, Slope, relu_relaxation
from dmcore.linear.unit import identity
from dmcore.nets.layers import ReLU
from dmcore.nets.network import Network
from dmcore.perturbation import Ball
from dmcore.perturbation.box import Box
from dmcore.registries import certifier


@certifier("alpha")
class Alpha(Certifier):
    """Each unstable ReLU's lower slope optimised for the point; never below CNN-Cert's three variants, nor below IBP.

    Any slope in [0, 1] is sound, so the bounds of every step are valid and each value keeps its best. First the hidden
    layers' boxes, in order, begun with what those of the three variants have in common: one slope a ReLU for all
    neurons of the layer that is bounded, to make the boxes of its unstable ones narrow. Then the rows, each with slopes
    of its own, begun with those of the variant that bounds it best. Points do not influence each other, and nothing is
    random.
    """

    LABEL = "α-CNN-Cert"
    NEVER_BELOW = ("ibp", "cnn-cert-zero", "cnn-cert-ada", "cnn-cert-relu")
    STEPS = 50
    """Of the rows' slopes."""
    HIDDEN_STEPS = 5
    """Of the slopes for each hidden layer's box, most of the time; a step costs about what bounding the layer costs."""
    RATE = 0.5
    """How far Adam's first step moves a slope."""
    DECAY = 0.9
    """What the rate is multiplied by after each step."""
    BETAS = (0.5, 0.9)
    """Adam's memory, short: a few steps are all there are, and slopes turn around at kinks."""

    def lower(self, net: Network, ball: Ball, rows: Dense) -> Tensor:
        variants = [self.relaxed(net, ball, slope) for slope in SLOPES]
        found = torch.stack([linear_bounds(variant, net.output, rows, upper=False)[0] for variant in variants])
        return self._raised(net, ball, rows, found, self.hidden_boxes(net, ball, variants))

    def hidden_boxes(self, net: Network, ball: Ball, variants: list[RelaxedNetwork]) -> dict[int, Box]:
        """Boxes of all non-linear layers' inputs, each inside those of all ``variants``."""
        boxes: dict[int, Box] = {}
        for index in sorted(variants[0].boxes):
            common = intersection([variant.boxes[index] for variant in variants])
            boxes[index] = self._narrowed(net, ball, index, common, boxes)
        return boxes

    def _narrowed(self, net: Network, ball: Ball, index: int, box: Box, boxes: dict[int, Box]) -> Box:
        """What is left of the box of a node behind ``boxes``."""
        slopes = relu_slopes(net, boxes, "ada")
        if not slopes:
            return box
        exact, shape = self.exact(net, ball), tuple(box.center.shape[1:])
        unstable = (box.lower < 0) & (box.upper > 0)
        if len(shape) != 3:
            unstable = unstable.flatten(1)
        axis = unstable.ndim // 2  # the one along which a node is split that is too large to do at once
        best = box

        def substituted(at: Slopes, part: slice) -> Tensor:
            start = identity(shape, ball.x, part)
            relaxed = RelaxedNetwork(net, ball, at, boxes, exact=exact)
            bounds = [start.rows(side) for side in substitute(relaxed, index, start)]
            counted = unstable.narrow(axis, part.start, part.stop - part.start)
            both = torch.stack(bounds).reshape(2, *counted.shape)
            ascend(((both[0] - both[1]) * counted).sum(), at)
            return both.detach()

        def step(at: Slopes) -> None:
            nonlocal best
            size = unstable.shape[axis]
            both = torch.cat(map_chunks(size, size, lambda part: substituted(at, part)), axis + 1)
            best = intersection([best, Box.between(*uncrossed(*both.reshape(2, -1, *shape)))])

        self._optimise(slopes, self.HIDDEN_STEPS, step)
        return best

    def _raised(self, net: Network, ball: Ball, rows: Dense, found: Tensor, boxes: dict[int, Box]) -> Tensor:
        """The best bounds (B, R) of the rows, ``found`` by the variants (V, B, R) or with slopes of their own."""
        exact, (_, points, count) = self.exact(net, ball), found.shape

        def each(t: Tensor) -> Tensor:
            """Every point as often as there are rows: a batch in which each row is a point."""
            return t.expand(points, *t.shape[1:]).repeat_interleave(count, 0)

        balls, start = ball.select(each), Dense(rows.data.expand(points, -1, -1).flatten(0, 1)[:, None])
        wide = {index: Box(each(box.center), each(box.radius)) for index, box in boxes.items()}
        variants = [relu_slopes(net, wide, slope) for slope in SLOPES]
        chosen = found.argmax(0).flatten(), torch.arange(points * count, device=found.device)
        slopes = {index: torch.stack([variant[index] for variant in variants])[chosen] for index in variants[0]}
        best = found.amax(0)

        def step(at: Slopes) -> None:
            nonlocal best
            relaxed = RelaxedNetwork(net, balls, at, wide, exact=exact)
            bound = substitute(relaxed, net.output, start, upper=False)[0]
            ascend(bound.sum(), at)
            best = torch.fmax(best, bound.detach().reshape(points, count))  # a step that overflows takes nothing away

        self._optimise(slopes, self.STEPS, step)
        return best

    @torch.enable_grad()
    def _optimise(self, slopes: Slopes, steps: int, step: Callable[[Slopes], None]) -> None:
        """Adam on slopes within [0, 1]. ``step`` bounds with them and calls :func:`ascend` on what is to grow."""
        if not slopes:  # a network without a ReLU
            return
        free = {index: slope.clone().requires_grad_() for index, slope in slopes.items()}
        adam = torch.optim.Adam(free.values(), self.RATE, self.BETAS, maximize=True)
        for _ in range(steps):
            adam.zero_grad()
            step(free)
            adam.step()
            with torch.no_grad():
                for slope in free.values():
                    slope.clamp_(0, 1)
            adam.param_groups[0]["lr"] *= self.DECAY
        with torch.no_grad():
            step(free)


def relu_slopes(net: Network, boxes: dict[int, Box], slope: Slope) -> Slopes:
    """The slopes of the lower bounds of one of CNN-Cert's variants, of all ReLUs whose input is in ``boxes``."""
    relus = (n for n in net.nodes() if isinstance(n.layer, ReLU) and n.parents[0] in boxes)
    found = ((node.index, boxes[node.parents[0]]) for node in relus)
    return {index: relu_relaxation(box.lower, box.upper, slope).lower_slope for index, box in found}


def ascend(value: Tensor, slopes: Slopes) -> None:
    """Adds the gradient of ``value``, which may not depend on them, to that of the slopes, and to nothing else."""
    if value.requires_grad:
        torch.autograd.backward(value, inputs=list(slopes.values()))
