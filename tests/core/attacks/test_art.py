"""The attacks of the adversarial-robustness-toolbox, on nets of which the worst case is known."""

import random

import numpy as np
import pytest
import torch
from linear_nets import linear_net
from linear_nets import uniform as points
from test_attacked import EPS, exactly_inside, worst_margins

from dmcore.attacks.evaluate import attack_points

pytest.importorskip("art")


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_breaks_the_points_of_a_linear_net_that_can_be_broken(norm):
    """Pixels in the middle, so that the ball is not cut."""
    net, x = linear_net(20 * 20, 4), (points((1, 20, 20), 20, dtype=torch.float32) + 1) / 3
    y, net = net(x.double()).argmax(1), net.float()
    eps = EPS[norm] / 5
    found = attack_points(net, x, y, eps, norm, attack="auto", restarts=1, steps=20)
    worst = worst_margins(net.double(), x.double(), y, eps, norm)
    clear = worst.abs() > 0.1 * EPS[norm]
    assert (worst[clear] < 0).sum() > 3
    assert (worst[clear] > 0).sum() > 3
    assert torch.equal(found.broken[clear], worst[clear] < 0)
    assert (found.margin >= worst - 1e-6).all()
    assert all(exactly_inside(found.inputs[i], x[i], eps, norm) for i in range(len(x)))


def test_l1_deterministic_and_deaf_to_the_global_random_numbers():
    net, x = linear_net(16, 3).float(), points((1, 4, 4), 6, dtype=torch.float32)
    y = net(x).argmax(1)
    before = {name: p.clone() for name, p in net.named_parameters()}
    inputs = []
    for noise, seed in ((0, 5), (1, 5), (0, 6)):
        random.seed(noise)
        np.random.seed(noise)
        drawn = np.random.get_state()[1].copy()
        inputs.append(attack_points(net, x, y, 1.0, "l1", attack="auto", seed=seed, restarts=1, steps=3).inputs)
        assert (np.random.get_state()[1] == drawn).all()
    assert torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], inputs[2])
    assert all(torch.equal(p, before[name]) and p.grad is None for name, p in net.named_parameters())
