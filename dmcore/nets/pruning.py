"""ReLU pruning (Xiao et al. 2019; the rows "+RS+Pruning"): ReLUs that hardly ever switch become linear.

A pruned ReLU is ``keep ⊙ σ(z) + pass ⊙ z`` with fixed 0/1 masks, as a small graph of ReLU, two :class:`Scale` and a
:class:`Sum`. So every domain and certifier takes it as it is, and bounds the pruned function, which is not the one that
was trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from dmcore.errors import UserError
from dmcore.nets.layers import ReLU, Scale, Sum
from dmcore.nets.network import INPUT, Network

Neurons = Mapping[int, Tensor]
"""For the node of each ReLU a tensor of the node's shape, without the batch axis."""


@torch.no_grad()
def relu_activity(net: Network, batches: Iterable[Tensor]) -> dict[int, Tensor]:
    """The share, in 0..1, of inputs on which each ReLU's input is > 0.

    Args:
        batches: inputs (B, C, H, W), pixels in [0, 1], on the net's device.

    Returns:
        Shares by the ReLU's node, each of the node's shape.

    Raises:
        UserError: no inputs.
    """
    counts: dict[int, Tensor] = {}
    total = 0
    for x in batches:
        total += len(x)
        values = net.walk(lambda layer, *inputs: layer(*inputs), x)
        for node in _relus(net):
            count = (values[node] > 0).sum(0)
            counts[node] = counts[node] + count if node in counts else count
    if not total:
        raise UserError("the activity of ReLUs needs at least one input")
    return {node: count.double() / total for node, count in counts.items()}


def rarely_switching(activity: Neurons, share: float) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """(positive, negative): the neurons that are active, or inactive, on all but at most ``share`` of the inputs.

    Args:
        activity: from :func:`relu_activity`.
        share: in 0..0.5, the upper end excluded; Xiao et al. take 0.1.
    """
    if not 0 <= share < 0.5:
        raise UserError(f"share of inputs on which a pruned ReLU may switch: need 0 ≤ share < 0.5, got {share}")
    positive = {node: active >= 1 - share for node, active in activity.items()}
    return positive, {node: active <= share for node, active in activity.items()}


def prune_relus(net: Network, positive: Neurons, negative: Neurons) -> Network:
    """``net`` with the ReLUs of some neurons replaced: by the identity in ``positive``, by zero in ``negative``.

    The result shares the layers of ``net``; nothing is copied. Its structure depends on ``net`` alone, the masks are
    buffers: ``build_net(..., pruned_relus=True)`` makes the same structure, into which the state can be loaded.

    Args:
        positive, negative: boolean masks for every ReLU of ``net``, from :func:`rarely_switching`.

    Raises:
        UserError: a ReLU without masks, or a neuron in both.
    """
    pruned, place = Network(), {INPUT: INPUT}
    dtype = next((p.dtype for p in net.parameters()), torch.get_default_dtype())
    for node in net.nodes():
        parents = [place[p] for p in node.parents]
        at = pruned.add(node.layer, parents)
        if isinstance(node.layer, ReLU):
            if node.index not in positive or node.index not in negative:
                raise UserError(f"no masks for the ReLU of node {node.index}: give one of each kind for every ReLU")
            passed, dead = positive[node.index], negative[node.index]
            if (passed & dead).any():
                raise UserError(f"some ReLUs of node {node.index} are to be both the identity and zero")
            keep = pruned.add(Scale((~(passed | dead)).to(dtype)), [at])
            at = pruned.add(Sum(), [keep, pruned.add(Scale(passed.to(dtype)), parents)])
        place[node.index] = at
    return pruned.train(net.training)


def prune_nothing(net: Network, x: Tensor) -> Network:
    """The structure of :func:`prune_relus`, computing what ``net`` does; for inputs like x (B, C, H, W)."""
    shapes = net.shapes(x)
    none = {node: torch.zeros(shapes[node], dtype=torch.bool, device=x.device) for node in _relus(net)}
    return prune_relus(net, none, none)


def _relus(net: Network) -> list[int]:
    return [node.index for node in net.nodes() if isinstance(node.layer, ReLU)]
