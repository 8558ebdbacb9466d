"""Modules that compute something else than their forward shows are refused."""

import pytest
import torch
from torch import nn

from dmcore.errors import UserError
from dmcore.nets import as_network


def plus_one(module, inputs, output):
    return output + 1


def sequential():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


class Shifted(nn.Sequential):
    def __call__(self, x):
        return super().__call__(x) + torch.tensor([0.0, 9.0])


class Reversed(nn.Sequential):
    def __iter__(self):
        return reversed(list(super().__iter__()))


@pytest.mark.parametrize("make", [sequential, lambda: as_network(sequential())], ids=["theirs", "ours"])
@pytest.mark.parametrize("of_a_layer", [False, True])
def test_hooks_are_refused(make, of_a_layer):
    net = make()
    module = next(m for m in net.modules() if hasattr(m, "weight")) if of_a_layer else net
    module.register_forward_hook(plus_one)
    with pytest.raises(
        UserError, match=r"layer \S+ \(Linear\) has hooks" if of_a_layer else "the network .* has hooks"
    ):
        as_network(net)


def test_hooks_on_all_modules_are_refused():
    handle = nn.modules.module.register_module_forward_hook(plus_one)
    try:
        with pytest.raises(UserError, match="hooks for all modules"):
            as_network(sequential())
    finally:
        handle.remove()


def test_a_forward_that_was_replaced_is_refused():
    net = sequential()
    net[1].forward = lambda x: -x
    with pytest.raises(UserError, match=r"layer 1 \(Linear\) has hooks"):
        as_network(net)


def test_a_sequential_that_is_called_in_its_own_way_is_refused():
    with pytest.raises(UserError, match=r"the network \(Shifted\) has hooks"):
        as_network(Shifted(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(UserError, match=r"layer 1 \(Shifted\) has hooks"):
        as_network(nn.Sequential(nn.Flatten(), Shifted(nn.Linear(4, 2))))


def test_a_sequential_that_runs_in_its_own_order_is_read_in_that_order():
    net, x = Reversed(nn.Linear(4, 2), nn.ReLU(), nn.Linear(4, 4), nn.Flatten()), torch.rand(3, 4)
    torch.testing.assert_close(as_network(net)(x), net(x))
