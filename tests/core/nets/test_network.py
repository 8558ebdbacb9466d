import pytest
import torch
from torch import nn

from dmcore.errors import UserError
from dmcore.nets import Network, as_network
from dmcore.nets.layers import Conv, Sum


def test_nested_sequentials_and_identities_are_read_through():
    net = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), nn.Identity(), nn.Sequential(nn.ReLU()))
    assert [type(node.layer).__name__ for node in as_network(net).nodes()] == ["Flatten", "Linear", "ReLU"]


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh())), "layer 1.0 (Tanh) cannot be bounded"),
        (nn.Sequential(nn.Dropout()), "layer 0 (Dropout): drops values at random in training mode: call net.eval()"),
        (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), "ceil_mode"),
        (nn.Sequential(nn.MaxPool2d(2, dilation=2)), "dilation"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "padding_mode 'reflect'"),
        (nn.Sequential(nn.Flatten(0)), "only a Flatten of everything but the batch axis"),
        (nn.Sequential(), "Sequential computes nothing"),
        (nn.LSTM(2, 2), "cannot read the forward of LSTM"),
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


def test_a_sequential_with_a_forward_of_its_own_is_read_by_it():
    class Odd(nn.Sequential):
        def forward(self, x):
            return -super().forward(x)

    for net in (Odd(nn.Linear(2, 2)), nn.Sequential(Odd(nn.Linear(2, 2)))):
        with pytest.raises(UserError, match=r"the operation 'neg'.* cannot be bounded"):
            as_network(net)


def test_a_subclass_of_a_known_layer_is_refused():
    """Its forward may do anything."""

    class Odd(nn.Linear):
        def forward(self, x):
            return super().forward(x).sin()

    with pytest.raises(UserError, match=r"the operation '\w+' in layer 0 \(Odd\) cannot be bounded"):
        as_network(nn.Sequential(Odd(2, 2)))


def test_a_sum_that_broadcasts_is_refused():
    """Coefficients of a branch that is read several times would have to be added up."""
    net = Network()
    image = net.add(Conv(1, 2, (3, 3)), [0])
    small = net.add(Conv(1, 2, (4, 4)), [0])
    net.add(Sum(), [image, small])
    with pytest.raises(UserError, match=r"different shapes, \(2, 2, 2\) and \(2, 1, 1\), cannot be bounded"):
        net.shapes(torch.zeros(1, 1, 4, 4))
