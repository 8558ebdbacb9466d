"""Ensembles (Appendix H.2): one network whose logits are the average of its members'."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmcore.nets.layers import Sum
from dmcore.nets.network import Network


def member_logits(net: Network, x: Tensor) -> Tensor:
    """The logits of each member, (N, B, K), for inputs x (B, C, H, W); their mean over N is ``net(x)``.

    A network that does not end in an average of several nodes is its own single member.
    """
    values = net.walk(lambda layer, *inputs: layer(*inputs), x)
    return torch.stack([values[node] for node in _members(net)])


def vote(net: Network, x: Tensor) -> Tensor:
    """The predicted class (B,) by most votes of the members; the averaged logits decide a tie between classes."""
    logits = member_logits(net, x)
    votes = F.one_hot(logits.argmax(2), logits.shape[2]).sum(0)
    leading = votes == votes.amax(1, keepdim=True)
    return logits.mean(0).masked_fill(~leading, -torch.inf).argmax(1)


def _members(net: Network) -> tuple[int, ...]:
    """The nodes of the members' logits."""
    last = net.node(net.output)
    averages = isinstance(last.layer, Sum) and last.layer.scale == 1 / len(last.parents)
    return last.parents if averages else (net.output,)
