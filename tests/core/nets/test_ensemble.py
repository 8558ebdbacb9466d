"""Ensembles (Appendix H.2): N networks of their own, averaged."""

import copy

import pytest
import torch
from torch import nn

from dmcore.bounds import double_margins, interval_bounds
from dmcore.nets import Network, build_net
from dmcore.nets.ensemble import member_logits, vote
from dmcore.nets.layers import Linear, ReLU, Sum

SHAPE, MEAN, STD = (3, 8, 8), [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]


def ensemble(members, arch="small", seed=0):
    torch.manual_seed(seed)
    return build_net(arch, SHAPE, 5, MEAN, STD, members=members).double()


def alone(net, members):
    """Each member as a network of its own, with copies of its layers behind a copy of the normalisation."""
    per_member = (len(net.layers) - 2) // members
    for i in range(members):
        layers = [net.layers[0], *net.layers[1 + i * per_member : 1 + (i + 1) * per_member]]
        yield nn.Sequential(*copy.deepcopy(layers))


def test_the_first_member_has_the_weights_it_has_alone_and_no_two_share_any():
    torch.manual_seed(0)
    three = build_net("small", SHAPE, 5, members=3)
    torch.manual_seed(0)
    one = build_net("small", SHAPE, 5)
    weights = [p for p in three.parameters() if p.ndim > 1]
    assert len(weights) == 3 * 4
    for k, expected in enumerate(p for p in one.parameters() if p.ndim > 1):
        assert torch.equal(weights[k], expected)
        for other in (weights[k + 4], weights[k + 8]):
            assert other.shape == expected.shape
            assert (other - expected).abs().mean() > 0.1 * expected.std()


def test_names_in_the_state_are_stable():
    keys = list(build_net("small", SHAPE, 5, MEAN, STD, members=2).state_dict())
    layers = [f"layers.{i}.{name}" for i in (1, 3, 6, 8, 9, 11, 14, 16) for name in ("weight", "bias")]
    assert keys == ["layers.0.mean", "layers.0.std", *layers]


def test_logits_and_margins_are_the_means_of_the_members():
    net, x = ensemble(3), torch.rand(4, *SHAPE, dtype=torch.float64)
    parts = list(alone(net, 3))
    expected = torch.stack([part(x) for part in parts])
    torch.testing.assert_close(member_logits(net, x), expected)
    torch.testing.assert_close(net(x), expected.mean(0))
    margins = [double_margins(part, x, 0.05) for part in parts]
    for k, got in enumerate(double_margins(net, x, 0.05)):
        torch.testing.assert_close(got, torch.stack([m[k] for m in margins]).mean(0))
    bounds = [interval_bounds(part, x, 0.05) for part in parts]
    for k, got in enumerate(interval_bounds(net, x, 0.05)):
        torch.testing.assert_close(got, torch.stack([b[k] for b in bounds]).mean(0))


def constant_members(*logits):
    """An ensemble whose members always answer these logits."""
    net = Network()
    heads = []
    for values in logits:
        layer = Linear(1, len(values))
        layer.weight.data.zero_()
        layer.bias.data = torch.tensor(values)
        heads.append(net.add(layer, [0]))
    net.add(Sum(1 / len(logits)), heads)
    return net


@pytest.mark.parametrize(
    ("logits", "winner"),
    [
        ([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 9.0, 0.0]], 0),  # two votes against one, whatever the average
        ([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]], 1),  # one each: the larger average
        ([[3.0, 2.9, 0.0], [0.0, 2.9, 3.1]], 2),  # class 1 has the largest average but no vote
        ([[0.0, 0.5]], 1),
    ],
)
def test_votes_and_ties(logits, winner):
    assert vote(constant_members(*logits), torch.zeros(2, 1)).tolist() == [winner] * 2


def test_a_network_that_is_no_ensemble_is_its_own_member():
    net = Network()
    first = net.add(Linear(3, 3))
    net.add(Sum(), [net.add(ReLU()), first])  # ends in a residual sum, no average
    for one in (net, build_net("small", (1, 8, 8), 4)):
        x = torch.rand(2, 3) if one is net else torch.rand(2, 1, 8, 8)
        assert torch.equal(member_logits(one, x), one(x)[None])
        assert torch.equal(vote(one, x), one(x).argmax(1))
