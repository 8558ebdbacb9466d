"""Several networks as one: each part of a batch gets what its own network gives."""

import pytest
import torch
from torch import nn

from dmcore.nets import as_network, build_net
from dmcore.nets.batch_norm import observed
from dmcore.nets.layers import Affine
from dmcore.nets.stacked import Stacked, StackedConv, StackedLinear, stacked

SHAPE = (2, 8, 8)


def torch_net(groups=1, dilation=1, stride=2):
    conv = nn.Conv2d(2, 4, 3, stride, 1, dilation, groups, bias=False)
    module = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    module(torch.zeros(1, *SHAPE))
    return as_network(module, SHAPE)


def normalised():
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    net = as_network(module.eval(), SHAPE, training=True)
    with torch.no_grad():
        observed(net, torch.rand(9, *SHAPE))
    return net


KINDS = {
    "small": lambda: build_net("small", SHAPE, 5, mean=(0.2, 0.3), std=(0.5, 0.4)),
    "pooling": lambda: build_net("pooling", SHAPE, 5),
    "resnet": lambda: build_net("resnet", SHAPE, 5),
    "ensemble": lambda: build_net("small", SHAPE, 5, members=2),
    "normalised": normalised,
    "no bias": torch_net,
    "stride > kernel": lambda: torch_net(stride=4),
    "groups": lambda: torch_net(groups=2),
    "dilated": lambda: torch_net(dilation=2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_part_passes_its_own_network(kind):
    torch.manual_seed(0)
    nets = [KINDS[kind]().double() for _ in range(3)]
    stack, x = stacked(nets), torch.rand(6, *SHAPE, dtype=torch.float64)
    torch.testing.assert_close(stack(x), torch.cat([net(part) for net, part in zip(nets, x.chunk(3), strict=True)]))
    values = stack.walk(lambda layer, *inputs: layer(*inputs), x)
    for node in stack.nodes():
        if isinstance(node.layer, Affine):
            r = values[node.parents[0]].abs()
            for work in ("magnitude", "linear"):
                parts = zip((net.node(node.index).layer for net in nets), r.chunk(3), strict=True)
                expected = torch.cat([getattr(layer, work)(part) for layer, part in parts])
                torch.testing.assert_close(getattr(node.layer, work)(r), expected)
    stack(x).square().sum().backward()
    grads = [p.grad.clone() for net in nets for p in net.parameters()]
    for net, part in zip(nets, x.chunk(3), strict=True):
        net.zero_grad()
        net(part).square().sum().backward()
    torch.testing.assert_close(grads, [p.grad for net in nets for p in net.parameters()])


def test_what_cannot_be_one_product_is_done_one_by_one():
    kinds = {name: [type(layer) for layer in stacked([make(), make()]).layers] for name, make in KINDS.items()}
    assert kinds["no bias"][0] is kinds["small"][1] is StackedConv
    assert kinds["groups"][0] is kinds["dilated"][0] is kinds["normalised"][1] is Stacked
    assert {kind[-1] for kind in kinds.values()} - {StackedLinear} == {kinds["ensemble"][-1]}
