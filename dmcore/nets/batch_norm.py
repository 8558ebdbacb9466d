"""Networks with batch normalisation: in a step of training, and after it, when the weights have taken it in."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dmcore.nets.layers import BatchNorm
from dmcore.nets.network import Network
from dmcore.nets.reading import folded
from dmcore.nets.translate import fixed_norm


def has_batch_norm(net: Network) -> bool:
    """Whether it has a BatchNorm."""
    return any(isinstance(layer, BatchNorm) for layer in net.layers)


def observed(net: Network, x: Tensor) -> Tensor:
    """Logits (B, K) of a batch whose statistics every BatchNorm takes and keeps, for passes to come."""

    def step(layer: nn.Module, *inputs: Tensor) -> Tensor:
        if isinstance(layer, BatchNorm):
            layer.observe(*inputs)
        out: Tensor = layer(*inputs)
        return out

    return net.walk(step, x)[-1]


@torch.no_grad()
def with_population(net: Network, batches: Iterable[Tensor]) -> Network:
    """``net`` with the statistics of all batches in the weights before each BatchNorm, in float64, rounded once.

    A channel's variance is the mean of those within the batches, each normalised by its own statistics before, plus
    that of their means ("precise BatchNorm"). A network without BatchNorm comes back as it is.
    """
    seen: dict[BatchNorm, list[Tensor]] = {layer: [] for layer in net.layers if isinstance(layer, BatchNorm)}
    if not seen:
        return net
    sizes: list[int] = []
    for x in batches:
        observed(net, x)
        sizes.append(len(x))
        for norm, statistics in seen.items():
            statistics.append(torch.stack([norm.mean, norm.var]).double())
    fixed = Network()
    factors: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    for node in net.nodes():
        layer = node.layer
        if isinstance(layer, BatchNorm):
            means, variances = torch.stack(seen[layer], 1)
            share = means.new_tensor(sizes)[:, None] / sum(sizes)
            mean = (share * means).sum(0)
            var = (share * (variances + (means - mean).square())).sum(0)
            stands, factors_of = fixed_norm(mean, var, layer.smallest, layer.weight, layer.bias, not layer.image)
            factors[stands] = factors_of
            layer = stands.to(layer.weight.dtype)
        fixed.add(layer, node.parents)
    return folded(fixed, factors)
