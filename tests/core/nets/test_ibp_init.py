"""The initialisation for interval bounds."""

import pytest
import torch

from dmcore.domains import Interval
from dmcore.nets import Network, build_net
from dmcore.nets.builder import Builder
from dmcore.nets.ibp_init import ibp_init
from dmcore.nets.layers import Affine, ReLU
from dmcore.perturbation import Ball


def made(arch, init, **options):
    torch.manual_seed(0)
    net = build_net(arch, (3, 32, 32), 10, **options)
    return init(net)


@pytest.mark.parametrize("arch", ["small", "large"])
def test_interval_bounds_keep_their_width(arch):
    """The mean half-width in front of the last ReLU over the input's; without it, it grows from layer to layer."""
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    def growth(init):
        net = made(arch, init)
        states = Interval().states(net, Ball(x, 0.01))
        last = [node.parents[0] for node in net.nodes() if isinstance(node.layer, ReLU)][-1]
        return (states[last].radius.mean() / 0.01).item()

    assert 0.2 < growth(ibp_init) < 5
    assert growth(lambda net: net) > 10


def test_the_last_layers_keep_their_weights_and_rows_sum_to_2():
    before, after = made("small", lambda net: net, members=2), made("small", ibp_init, members=2)
    pairs = [(a, b) for a, b in zip(before.layers, after.layers, strict=True) if isinstance(a, Affine)]
    same = [torch.equal(a.weight, b.weight) for a, b in pairs]
    assert same == [False, False, False, True] * 2
    rows = torch.cat([b.weight.detach().flatten(1).abs().sum(1) for _, b in pairs[:3]])
    assert rows.mean().item() == pytest.approx(2.0, abs=0.1)


def test_what_reads_a_residual_sum_gets_half():
    net = Network()
    b = Builder(net, 0, (1, 8, 8))
    b.conv(8, kernel=3)
    block = b.relu()
    b.conv(8, kernel=3)
    b.add_skip(block)
    b.relu()
    b.conv(8, kernel=3)
    b.relu()
    b.fc(3)
    torch.manual_seed(0)
    ibp_init(net)
    sums = [net.layers[i].weight.flatten(1).abs().sum(1).mean().item() for i in (0, 2, 5)]
    assert sums == pytest.approx([2, 2, 1], rel=0.2)
