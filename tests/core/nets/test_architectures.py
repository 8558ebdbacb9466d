"""The architectures against hand-written ones: sizes by arithmetic, values by plain torch in float64."""

import pytest
import torch
import torch.nn.functional as F
from flips import named

from dmcore.nets import build_net
from dmcore.registries import architecture

MNIST, CIFAR, GTSRB = ((1, 28, 28), 10), ((3, 32, 32), 10), ((3, 32, 32), 43)


@pytest.mark.parametrize(
    ("arch", "data", "sizes"),
    [
        ("small", MNIST, [(16, 14, 14), (32, 14, 14), (100,), (10,)]),
        ("small", CIFAR, [(16, 16, 16), (32, 16, 16), (100,), (10,)]),
        ("pureconv", MNIST, [(16, 26, 26), (16, 24, 24), (16, 22, 22), (10,)]),
        ("pureconv", GTSRB, [(16, 30, 30), (16, 28, 28), (16, 26, 26), (43,)]),
        ("medium", MNIST, [(16, 26, 26), (16, 12, 12), (32, 10, 10), (32, 4, 4), (512,), (512,), (10,)]),
        ("medium", CIFAR, [(16, 30, 30), (16, 14, 14), (32, 12, 12), (32, 5, 5), (512,), (512,), (10,)]),
        ("large", MNIST, [*[(64, 28, 28)] * 2, (64, 14, 14), *[(128, 14, 14)] * 2, (200,), (10,)]),
        ("large", CIFAR, [*[(64, 32, 32)] * 2, (64, 16, 16), *[(128, 16, 16)] * 2, (200,), (10,)]),
        ("cnn7", CIFAR, [*[(64, 32, 32)] * 2, (64, 16, 16), *[(128, 16, 16)] * 2, (512,), (10,)]),
        ("pooling", MNIST, [(16, 28, 28), (16, 14, 14), (16, 14, 14), (16, 7, 7), (10,)]),
        ("pooling", CIFAR, [(16, 32, 32), (16, 16, 16), (16, 16, 16), (16, 8, 8), (10,)]),
        ("resnet", MNIST, [*[(16, 28, 28)] * 3, (10,)]),
        ("resnet", GTSRB, [*[(16, 32, 32)] * 3, (43,)]),
    ],
)
def test_sizes(arch, data, sizes):
    shape, classes = data
    with torch.device("meta"):
        net = build_net(arch, shape, classes)
        shapes = net.shapes(torch.zeros(1, *shape))
    assert [shapes[n.index] for n in net.nodes() if type(n.layer).__name__ in ("Conv", "Linear", "MaxPool")] == sizes


def conv(x, weight, bias, stride=1, padding=(0, 0, 0, 0)):
    return F.conv2d(F.pad(x, padding), weight, bias, stride)


def by_hand(arch, x, weights):
    """The logits of plain torch calls; padding as (left, right, top, bottom)."""
    w = iter(weights)

    def take():
        return next(w), next(w)

    if arch == "small":
        x = conv(x, *take(), 2, (1, 1, 1, 1)).relu()
        x = conv(x, *take(), 1, (1, 2, 1, 2)).relu()
        x = F.linear(x.flatten(1), *take()).relu()
    elif arch == "pureconv":
        for _ in range(3):
            x = conv(x, *take()).relu()
    elif arch == "medium":
        for stride in (1, 2, 1, 2):
            x = conv(x, *take(), stride).relu()
        x = x.flatten(1)
        for _ in range(2):
            x = F.linear(x, *take()).relu()
    elif arch == "cnn7":
        for stride in (1, 1, 2, 1, 1):
            x = conv(x, *take(), stride, (1, 1, 1, 1)).relu()
        x = F.linear(x.flatten(1), *take()).relu()
    elif arch == "large":
        for stride, padding in ((1, (1, 1, 1, 1)), (1, (1, 1, 1, 1)), (2, (0, 1, 0, 1)), *[(1, (1, 1, 1, 1))] * 2):
            x = conv(x, *take(), stride, padding).relu()
        x = F.linear(x.flatten(1), *take()).relu()
    elif arch == "pooling":
        for _ in range(2):
            x = F.max_pool2d(conv(x, *take(), 1, (1, 1, 1, 1)).relu(), 2)
    elif arch == "resnet":
        block = conv(x, *take(), 1, (1, 1, 1, 1)).relu()
        x = conv(block, *take(), 1, (1, 1, 1, 1)).relu()
        x = (conv(x, *take(), 1, (1, 1, 1, 1)) + block).relu()
    logits = F.linear(x.flatten(1), *take())
    assert not list(w)
    return logits


@pytest.mark.parametrize("data", [MNIST, GTSRB])
@pytest.mark.parametrize("arch", architecture.names())
def test_the_forward_pass_is_the_hand_written_one(arch, data):
    shape, classes = data
    torch.manual_seed(0)
    mean, std = [0.5, 0.4, 0.3][: shape[0]], [0.2, 0.3, 0.4][: shape[0]]
    net = build_net(arch, shape, classes, mean, std).double()
    for p in net.parameters():
        if p.ndim == 1:
            torch.nn.init.normal_(p)
    x = torch.rand(2, *shape, dtype=torch.float64)
    mean, std = (net.state_dict()[f"layers.0.{name}"] for name in ("mean", "std"))
    torch.testing.assert_close(mean.flatten().float(), torch.tensor([0.5, 0.4, 0.3][: shape[0]]))
    normalised = (x - mean) / std
    torch.testing.assert_close(net(x), by_hand(arch, normalised, list(net.parameters())), rtol=1e-12, atol=1e-12)


def test_initialisation_is_normal_with_std_one_over_root_fan_in():
    """Drawn layer by layer from torch's own generator; a seed means the same weights for good."""
    torch.manual_seed(5)
    net = build_net("small", (1, 28, 28), 10)
    torch.manual_seed(5)
    for layer, shape in zip(
        (net.layers[i] for i in (0, 2, 5, 7)), [(16, 1, 4, 4), (32, 16, 4, 4), (100, 6272), (10, 100)], strict=True
    ):
        fan_in = torch.Size(shape[1:]).numel()
        assert torch.equal(layer.weight, torch.empty(shape).normal_(std=fan_in**-0.5))
        assert layer.bias.abs().max() == 0
    assert abs(net.layers[5].weight.std().item() * 6272**0.5 - 1) < 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("smal", (1, 28, 28), 10), "unknown architecture 'smal': did you mean 'small'?"),
        (("small", (28, 28), 10), "need (C, H, W) ≥ 1"),
        (("small", (1, 0, 28), 10), "need (C, H, W) ≥ 1"),
        (("small", (1, 28, 28), 1), "at least 2 classes"),
        (
            ("pureconv", (3, 6, 28), 10),
            "takes no images of 3x6x28: input of 16x2x24 is too small",
        ),
        (("pooling", (1, 3, 8), 10), "input of 16x1x4 is too small for a 2x2 max-pooling"),
        (("small", (1, 28, 28), 10, None, None, 0), "an ensemble of 0 members"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with named(message):
        build_net(*arguments)
