"""Pruned ReLUs against loops, a hand-written forward pass and the dense reference."""

import pytest
import torch
from conftest import plain_net, pruned_net, relu_masks
from torch import nn

from dmcore.errors import UserError
from dmcore.nets import as_network, build_net
from dmcore.nets.layers import ReLU
from dmcore.nets.pruning import prune_relus, rarely_switching, relu_activity


def relu_nodes(net):
    return [node.index for node in net.nodes() if isinstance(node.layer, ReLU)]


def by_hand(seed, x):
    """The pruned network with each neuron's activation chosen by its mask."""
    plain = plain_net(seed).double()
    positive, negative = relu_masks(as_network(plain).float(), (1, 6, 6), seed)
    plain.double()
    nodes = iter(sorted(positive))
    for layer in plain:
        if isinstance(layer, nn.ReLU):
            node = next(nodes)
            x = torch.where(positive[node], x, torch.where(negative[node], 0.0, x.relu()))
        else:
            x = layer(x)
    return x


def test_computes_the_hand_written_function():
    for seed in range(3):
        x = torch.randn(20, 1, 6, 6, dtype=torch.float64)
        torch.testing.assert_close(pruned_net(seed, torch.float64)(x), by_hand(seed, x))


def test_nothing_pruned_changes_nothing():
    for members in (1, 2):
        torch.manual_seed(0)
        plain = build_net("resnet", (1, 6, 6), 3, [0.5], [0.3], members=members)
        torch.manual_seed(0)
        masked = build_net("resnet", (1, 6, 6), 3, [0.5], [0.3], members=members, pruned_relus=True)
        x = torch.rand(3, 1, 6, 6)
        assert torch.equal(masked(x), plain(x))


def test_activity_counted_by_loops():
    net, x = as_network(plain_net(1)), torch.randn(13, 1, 6, 6)
    activity = relu_activity(net, x.split(5))  # the last batch is smaller
    assert sorted(activity) == relu_nodes(net)
    counts = dict.fromkeys(activity, 0)
    for image in x:
        z = image[None]
        for node in net.nodes():
            if node.index in counts:
                counts[node.index] = counts[node.index] + (z[0] > 0).int()
            z = node.layer(z)
    for node, share in activity.items():
        torch.testing.assert_close(share, counts[node].double() / 13)
        assert 0 < share.mean() < 1


def test_which_neurons_switch_rarely():
    activity = {1: torch.tensor([0.0, 0.1, 0.11, 0.5, 0.89, 0.9, 1.0], dtype=torch.float64)}
    positive, negative = rarely_switching(activity, 0.1)
    assert positive[1].tolist() == [False] * 5 + [True] * 2
    assert negative[1].tolist() == [True] * 2 + [False] * 5
    positive, negative = rarely_switching(activity, 0.0)
    assert positive[1].tolist() == [False] * 6 + [True]
    assert negative[1].tolist() == [True] + [False] * 6


def test_layers_are_shared_and_the_mode_is_kept():
    net = build_net("small", (1, 8, 8), 4).eval()
    masks = relu_masks(net, (1, 8, 8), 0)
    pruned = prune_relus(net, *masks)
    assert not pruned.training
    assert [id(p) for p in pruned.parameters()] == [id(p) for p in net.parameters()]


def test_mistakes_are_named():
    net = build_net("small", (1, 8, 8), 4)
    positive, negative = relu_masks(net, (1, 8, 8), 0)
    with pytest.raises(UserError, match="some ReLUs of node 2 are to be both"):
        prune_relus(net, positive, positive)
    with pytest.raises(UserError, match="no masks for the ReLU of node 4"):
        prune_relus(net, positive, {node: mask for node, mask in negative.items() if node != 4})
    with pytest.raises(UserError, match=r"share < 0\.5, got 0\.5"):
        rarely_switching({}, 0.5)
    with pytest.raises(UserError, match="at least one input"):
        relu_activity(net, [])
