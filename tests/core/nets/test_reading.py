"""Modules of users, read by their forward: the graph computes what they compute, and is bounded soundly."""

import copy

import pytest
import torch
import torch.nn.functional as F
from flips import named
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from dmcore.certify import margin_bounds
from dmcore.errors import UserError
from dmcore.nets import as_network
from dmcore.nets.layers import Conv, Normalize


def randomised(net, seed=0):
    """Statistics and factors of BatchNorms as after a training, some factors negative; in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            size = module.running_mean.shape
            module.running_mean.copy_(torch.randn(size, generator=generator))
            module.running_var.copy_(torch.rand(size, generator=generator) + 0.2)
            if module.affine:
                module.weight.data.copy_(torch.randn(size, generator=generator))
                module.bias.data.copy_(torch.randn(size, generator=generator))
    return net.eval()


class Block(nn.Module):
    def __init__(self, inp, out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inp, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Sequential(nn.Conv2d(inp, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.down(x)
        return self.relu(out)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.block, self.pool, self.fc = Block(1, 3, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(3, 3)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.block(x)), 1))


class ByFunctions(nn.Module):
    """Everything that can be written without a layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(2, 3)
        self.register_buffer("mean", torch.tensor([0.3]).view(1, 1, 1, 1))

    def forward(self, x):
        x = (x - self.mean) / 0.5
        x = F.relu(self.conv(x))
        x = F.dropout(F.avg_pool2d(x, 2), training=self.training)
        x = x * 2 + 1
        return self.fc(x.mean((2, 3)))


class Masked(nn.Module):
    """Constants that differ from place to place, between convolutions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Linear(32, 3)
        self.register_buffer("mask", torch.randn(2, 6, 6))
        self.register_buffer("offset", torch.randn(1, 2, 6, 6))

    def forward(self, x):
        x = (self.conv1(x).relu() * self.mask + self.offset) / self.mask.abs()
        return self.fc(self.conv2(x).relu().flatten(1))


class Forward(nn.Module):
    def __init__(self, forward, **layers):
        super().__init__()
        self.own = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.own(self, x)


def viewed(net, x):
    x = F.max_pool2d(net.conv(x).relu(), 2, stride=1)
    return net.fc(x.view(x.size(0), x.shape[1] * 4))


def normalised_by_torchvision():
    normalize = pytest.importorskip("torchvision.transforms").Normalize([0.3], [0.2])
    return Forward(lambda net, x: net.fc(torch.flatten(net.normalize(x), 1)), normalize=normalize, fc=nn.Linear(64, 3))


NETS = {
    "residual": Residual,
    "functions": ByFunctions,
    "masked": Masked,
    "viewed": lambda: Forward(viewed, conv=nn.Conv2d(1, 2, 3, stride=2), fc=nn.Linear(8, 3)),
    "normalised": normalised_by_torchvision,
    "batch norm first": lambda: nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3)),
    "batch norm after a pool": lambda: nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.AvgPool2d(2, padding=1), nn.BatchNorm2d(2, affine=False), nn.Flatten(), nn.Linear(32, 3)
    ),
    "batch norm of features": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3)
    ),
    "padded": lambda: nn.Sequential(
        nn.ZeroPad2d((1, 0, 2, 1)),
        nn.Conv2d(1, 2, 3, groups=1),
        nn.ReLU(),
        nn.Identity(),
        nn.Flatten(),
        nn.Linear(126, 3),
    ),
}


def made(name, dtype=torch.float64):
    torch.manual_seed(0)
    return randomised(NETS[name]()).to(dtype)


@pytest.mark.parametrize("name", NETS)
def test_the_graph_computes_what_the_module_computes(name):
    net, x = made(name), torch.rand(4, 1, 8, 8, dtype=torch.float64)
    before = copy.deepcopy(net.state_dict())
    torch.testing.assert_close(as_network(net, (1, 8, 8))(x), net(x), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("certifier", ["ibp", "cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero"])
@pytest.mark.parametrize("name", NETS)
def test_bounds_hold_at_sampled_points_and_at_corners(name, certifier):
    net, x = made(name), torch.rand(2, 1, 8, 8, dtype=torch.float64)
    labels, eps = net(x).argmax(1), 0.05
    lower = margin_bounds(net, x, labels, eps, certifier=certifier)
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        noise = 2 * torch.rand(x.shape, generator=generator, dtype=x.dtype) - 1
        noise = noise.sign() if torch.rand((), generator=generator) < 0.5 else noise
        logits = net(x + eps * noise)
        margins = logits.gather(1, labels[:, None]) - logits
        assert ((margins >= lower - 1e-9) | lower.isinf()).all()


def test_a_batch_norm_goes_into_the_weights_before_it():
    assert [type(layer).__name__ for layer in as_network(made("residual"), (1, 8, 8)).layers] == [
        *("Conv", "ReLU", "Conv", "Conv", "Sum", "ReLU", "Conv", "Normalize", "Flatten", "Linear")
    ]


def test_averages_are_exact():
    pool = as_network(nn.Sequential(nn.AvgPool2d(3)), (1, 6, 6))
    assert isinstance(pool.layers[0], Conv)
    assert isinstance(pool.layers[1], Normalize)
    assert pool.layers[0].weight.eq(1).all()
    assert pool.layers[1].std.item() == 9


class Negative(nn.Sequential):
    def forward(self, x):
        return -super().forward(x)


class Sine(nn.Linear):
    def forward(self, x):
        return super().forward(x).sin()


FC = {"fc": nn.Linear(64, 3)}


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1)), "layer 1 (BatchNorm2d): depends on the whole batch"),
        (nn.Sequential(nn.GELU()).eval(), "GELU is not piecewise linear: train with ReLU"),
        (nn.Sequential(nn.Linear(8, 2), nn.Sequential(nn.Tanh())), "layer 1.0 (Tanh) cannot be bounded"),
        (nn.Sequential(nn.Dropout()), "layer 0 (Dropout): drops values at random in training mode: call net.eval()"),
        (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), "ceil_mode"),
        (nn.Sequential(nn.MaxPool2d(2, dilation=2)), "dilation"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "padding_mode 'reflect'"),
        (nn.Sequential(nn.Flatten(0)), "only a Flatten of everything but the batch axis"),
        (nn.Sequential(), "Sequential computes nothing"),
        (nn.LSTM(2, 2), "cannot read the forward of LSTM"),
        (nn.Sequential(Negative(nn.Linear(8, 2))), "the operation 'neg' in layer 0 (Negative) cannot be bounded"),
        (nn.Sequential(Sine(8, 2)), "in layer 0 (Sine) cannot be bounded"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1)), "Leave out the last Softmax"),
        (nn.Sequential(nn.AvgPool2d(3, ceil_mode=True)), "ceil_mode"),
        (nn.Bilinear(2, 2, 2).eval(), "Bilinear takes 2 inputs; one is known, a batch"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "only an average over all positions, AdaptiveAvgPool2d(1)"),
        (
            Forward(lambda net, x: net.fc(x.flatten(1)) if x.sum() > 0 else x, **FC),
            "cannot read the forward",
        ),
        (Forward(lambda net, x: net.fc(x.view(-1, 32)), **FC), "names 32 features where there are 64"),
        (Forward(lambda net, x: net.fc(x.flatten(1)) * net.fc(x.flatten(1)), **FC), "two computed values"),
        (Forward(lambda net, x: net.fc(x.flatten(1)) * net.fc.bias, **FC), "trainable weights"),
        (Forward(lambda net, x: x + x.mean((2, 3), keepdim=True)), "a sum of branches of different shapes, (1, 8, 8)"),
        (
            nn.Sequential(nn.Conv2d(1, 3, (1, 8)), nn.Flatten(2), nn.BatchNorm1d(3)).eval(),
            "everything but the batch axis",
        ),
        (Forward(lambda net, x: 1 - x.flatten(1)), "a constant minus a value"),
        (Forward(lambda net, x: x.flatten(1) / -2), "not all > 0"),
        (Forward(lambda net, x: x.flatten(1).sum(1)), "the operation 'sum' cannot be bounded"),
        (Forward(lambda net, x: F.dropout(x.flatten(1))), "drops values at random in training mode"),
        (Forward(lambda net, x: x.flatten(1)[:, 0]), "indexing cannot be bounded"),
        (Forward(lambda net, x: (net.fc(x.flatten(1)), x), **FC), "the output of Forward must be one layer's"),
    ],
)
def test_what_cannot_be_read_is_named_with_a_remedy(net, message):
    with named(message):
        as_network(net, (1, 8, 8))


def test_nested_sequentials_and_identities_are_read_through():
    net = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), nn.Identity(), nn.Sequential(nn.ReLU()))
    assert [type(node.layer).__name__ for node in as_network(net).nodes()] == ["Flatten", "Linear", "ReLU"]


def test_one_module_that_stands_twice_counts_twice():
    relu, linear = nn.ReLU(), nn.Linear(4, 4)
    net = nn.Sequential(nn.Linear(3, 4), relu, linear, relu, linear, relu, nn.Linear(4, 2))
    x = torch.randn(50, 3)
    assert len(list(as_network(net).nodes())) == 7
    torch.testing.assert_close(as_network(net)(x), net(x))


def test_what_needs_the_inputs_shape_says_so():
    with pytest.raises(UserError, match=r"averages over all positions, which needs the input's shape: as_network\("):
        as_network(nn.Sequential(nn.AdaptiveAvgPool2d(1)))
    for sizes in (lambda x: x.view(x.shape[-1], -1), lambda x: x.view(x.size(-1), -1), lambda x: x.view(x.size(1), -1)):
        with pytest.raises(UserError, match="asks for sizes, which needs the input's shape"):
            as_network(Forward(lambda net, x, sizes=sizes: net.fc(sizes(x)), **FC))


def relu_in_place(net, x):
    x = net.fc(x.flatten(1))
    F.relu(x, inplace=True)
    return x


def added_in_place(net, x):
    x = x.flatten(1)
    y = x.flatten(1)
    y += 1  # which torch.fx records as a sum of its own
    return net.fc(x)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.calls = nn.Linear(64, 3), 0

    def forward(self, x):
        self.calls += 1
        return self.fc(x.flatten(1)) * self.calls


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (Forward(relu_in_place, **FC), "changes in place what is read again"),
        (Forward(added_in_place, **FC), "computes something else than its layers"),
        (Forward(lambda net, x: net.fc(x.flatten(1) + torch.rand(64)), **FC), "draws random numbers"),
        (Counting(), "computes something else than its layers"),
    ],
)
def test_what_a_trace_does_not_show_is_refused(net, message):
    with pytest.raises(UserError, match=message):
        as_network(net, (1, 8, 8))


class Shifted(nn.Sequential):
    def __call__(self, x):
        return super().__call__(x) + 9


class Reversed(nn.Sequential):
    def __iter__(self):
        return reversed(list(super().__iter__()))


def hooked(net, *layer):
    (net[layer[0]] if layer else net).register_forward_hook(lambda module, inputs, output: output + 1)
    return net


def replaced(net):
    net[1].forward = lambda x: -x
    return net


def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("net", "who"),
    [
        (hooked(plain()), r"the network \(Sequential\)"),
        (hooked(plain(), 1), r"layer 1 \(Linear\)"),
        (hooked(as_network(plain())), r"the network \(Network\)"),
        (replaced(plain()), r"layer 1 \(Linear\)"),
        (Shifted(*plain()), r"the network \(Shifted\)"),
        (nn.Sequential(nn.Flatten(), Shifted(nn.Linear(4, 2))), r"layer 1 \(Shifted\)"),
    ],
)
def test_what_may_compute_something_else_than_its_forward_is_refused(net, who):
    with pytest.raises(UserError, match=f"{who} has hooks"):
        as_network(net)


@pytest.mark.parametrize(
    ("wrap", "remedy"),
    [
        (torch.compile, "what was compiled, its ._orig_mod"),
        (nn.DataParallel, "its .module"),
        (torch.jit.script, "the module that was scripted"),
        (lambda net: torch.jit.trace(net, torch.rand(1, 4)), "the module that was traced"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_wrapped_network_is_refused_with_what_to_pass(wrap, remedy):
    with pytest.raises(UserError, match=f"the network is wrapped .*: pass {remedy}"):
        as_network(wrap(plain()))


@pytest.mark.parametrize("normalise", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_weights_that_are_computed_are_refused_until_they_are_plain(normalise):
    net, x = plain().eval(), torch.rand(3, 1, 2, 2)
    normalise(net[1])
    expected = net(x)
    with pytest.raises(UserError, match=r"layer 1 \(ParametrizedLinear\) .*parametrize.remove_parametrizations"):
        as_network(net)
    parametrize.remove_parametrizations(net[1], "weight")
    torch.testing.assert_close(as_network(net)(x), expected)


def test_hooks_on_all_modules_are_refused():
    handle = nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output + 1)
    try:
        with pytest.raises(UserError, match="hooks for all modules"):
            as_network(plain())
    finally:
        handle.remove()


def test_a_sequential_that_runs_in_its_own_order_is_read_in_that_order():
    net, x = Reversed(nn.Linear(4, 2), nn.ReLU(), nn.Linear(4, 4), nn.Flatten()), torch.rand(3, 4)
    torch.testing.assert_close(as_network(net)(x), net(x))


def test_a_resnet_18_is_read_and_bounded():
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net, x = randomised(models.resnet18(num_classes=10)).double(), torch.rand(2, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(as_network(net, (3, 32, 32))(x), net(x), rtol=1e-9, atol=1e-9)
    lower = margin_bounds(net, x, net(x).argmax(1), 1e-12, certifier="ibp")
    margins = net(x).amax(1, keepdim=True) - net(x)
    assert ((lower <= margins + 1e-9) | lower.isinf()).all()
