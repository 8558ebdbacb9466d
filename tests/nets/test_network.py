import pytest
import torch
from conftest import conv_net, pool_net
from torch import nn

from dmcore.errors import UserError
from dmcore.nets import as_network, build_net
from dmcore.registries import architecture


@pytest.mark.parametrize(("make", "shape"), [(conv_net, (2, 5, 5)), (pool_net, (1, 8, 7))])
def test_a_plain_sequential_computes_the_same(make, shape):
    net, x = make(0), torch.rand(3, *shape)
    torch.testing.assert_close(as_network(net)(x), net(x))


def test_nested_sequentials_and_identities_are_read_through():
    net = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), nn.Identity(), nn.Sequential(nn.ReLU()))
    assert [type(node.layer).__name__ for node in as_network(net).nodes()] == ["Flatten", "Linear", "ReLU"]


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh())), "layer 1.0 (Tanh) cannot be bounded"),
        (nn.Sequential(nn.Dropout()), "layer 0 (Dropout) cannot be bounded"),
        (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), "ceil_mode"),
        (nn.Sequential(nn.MaxPool2d(2, dilation=2)), "dilation"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "padding_mode 'reflect'"),
        (nn.Sequential(nn.Flatten(0)), "only a Flatten of everything but the batch axis"),
        (nn.Sequential(), "empty"),
        (nn.ReLU(), "cannot bound a ReLU"),
    ],
)
def test_what_cannot_be_bounded_is_named(net, message):
    with pytest.raises(UserError) as error:
        as_network(net)
    assert message in str(error.value)


def test_one_module_that_stands_twice_counts_twice():
    relu, linear = nn.ReLU(), nn.Linear(4, 4)
    net = nn.Sequential(nn.Linear(3, 4), relu, linear, relu, linear, relu, nn.Linear(4, 2))
    x = torch.randn(50, 3)
    assert len(list(as_network(net).nodes())) == 7
    torch.testing.assert_close(as_network(net)(x), net(x))


def test_a_sequential_with_a_forward_of_its_own_is_refused():
    class Odd(nn.Sequential):
        def forward(self, x):
            return -super().forward(x)

    for net in (Odd(nn.Linear(2, 2)), nn.Sequential(Odd(nn.Linear(2, 2)))):
        with pytest.raises(UserError, match="Odd"):
            as_network(net)


def test_a_layer_with_hooks_is_refused():
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].register_forward_hook(lambda module, inputs, output: -output)
    with pytest.raises(UserError, match=r"layer 0 \(Linear\) has hooks"):
        as_network(net)
    replaced = nn.Sequential(nn.Linear(2, 2))
    replaced[0].forward = lambda x: -x
    with pytest.raises(UserError, match=r"layer 0 \(Linear\) has hooks"):
        as_network(replaced)
    whole = nn.Sequential(nn.Linear(2, 2))
    whole.register_forward_pre_hook(lambda module, inputs: -inputs[0])
    with pytest.raises(UserError, match=r"the network \(Sequential\) has hooks"):
        as_network(whole)


def test_a_subclass_of_a_known_layer_is_refused():
    """Its forward may do anything."""

    class Odd(nn.Linear):
        def forward(self, x):
            return super().forward(x).sin()

    with pytest.raises(UserError, match=r"layer 0 \(Odd\) cannot be bounded"):
        as_network(nn.Sequential(Odd(2, 2)))


@pytest.mark.parametrize(
    ("arch", "shape", "classes", "sizes", "parameters"),
    [
        ("small", (1, 28, 28), 10, [(16, 14, 14), (32, 14, 14), (100,), (10,)], 636_806),
        ("small", (3, 32, 32), 43, [(16, 16, 16), (32, 16, 16), (100,), (43,)], 832_651),
    ],
)
def test_architectures(arch, shape, classes, sizes, parameters):
    net = build_net(arch, shape, classes)
    shapes = net.shapes(torch.zeros(1, *shape))
    affine = [shapes[n.index] for n in net.nodes() if type(n.layer).__name__ in ("Conv", "Linear")]
    assert affine == sizes
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_initialisation_is_normal_with_std_one_over_root_fan_in():
    torch.manual_seed(0)
    net = build_net("small", (1, 28, 28), 10)
    for layer, fan_in in zip((net.layers[2], net.layers[5]), (16 * 16, 6272), strict=True):
        assert abs(layer.weight.std().item() * fan_in**0.5 - 1) < 0.05
        assert layer.bias.abs().max() == 0


def test_normalisation_is_the_first_layer():
    torch.manual_seed(0)
    x = torch.rand(2, 3, 32, 32)
    mean, std = [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]
    torch.manual_seed(1)
    inside = build_net("small", (3, 32, 32), 10, mean, std)
    torch.manual_seed(1)
    outside = build_net("small", (3, 32, 32), 10)
    scaled = (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(inside(x), outside(scaled))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("smal", (1, 28, 28), 10), "unknown architecture 'smal': did you mean 'small'?"),
        (("small", (28, 28), 10), "need (C, H, W) ≥ 1"),
        (("small", (1, 0, 28), 10), "need (C, H, W) ≥ 1"),
        (("small", (1, 28, 28), 1), "at least 2 classes"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UserError) as error:
        build_net(*arguments)
    assert message in str(error.value)


def test_registry():
    assert architecture.names() == ["small"]
