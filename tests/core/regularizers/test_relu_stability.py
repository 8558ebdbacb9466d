"""ReLU stability against loops over units with dense interval bounds, in float64."""

import math

import pytest
import torch
from batches import EPS, batch_of, steps_of
from conftest import NETS
from dense_reference import interval
from small_images import digits, model
from torch import nn

from dmcore.domains.interval import Interval, relu_inputs, unstable_relus
from dmcore.nets import as_network
from dmcore.nets.layers import ReLU
from dmcore.perturbation import Ball
from dmcore.registries import regularizer
from dmcore.regularizers import Batch
from dmcore.spec import Term
from dmcore.training.loop import train


def stability(**options):
    return regularizer.get("relu_stability")(**options)


def ranges(name, x, eps, clip):
    """(channels or units, lower, upper) at the input of every ReLU, by dense matrices."""
    net, steps = NETS[name].make(0), steps_of(name)
    bounds = interval(steps, x.flatten().numpy(), eps, clip)
    relus = [bounds[i] for i, step in enumerate(steps) if step[0] == "relu"]
    widths = [m.out_channels if isinstance(m, nn.Conv2d) else m.out_features for m in net if hasattr(m, "weight")]
    return [(width, *box) for width, box in zip(widths, relus, strict=False)]


@pytest.mark.parametrize("options", [{}, {"positions": "sum", "clip_input": True}])
@pytest.mark.parametrize("name", ["conv", "pool"])
def test_value_by_loops(name, options):
    batch = batch_of(name, eps=0.2)
    got = stability(**options).value(batch)
    total, seen = 0.0, 0
    for x in batch.x:
        for width, lower, upper in ranges(name, x, 0.2, "clip_input" in options):
            units = [math.tanh(1 + low * high) for low, high in zip(lower, upper, strict=True)]
            places = len(units) // width  # of a convolution; 1 for a fully connected layer
            total -= sum(units) / (1 if "positions" in options else places)
            seen += sum(int(low < 0 < high) for low, high in zip(lower, upper, strict=True))
    assert got.item() == pytest.approx(total / len(batch.x), rel=1e-10)
    ball = Ball(batch.x, 0.2, clip_input="clip_input" in options)
    assert unstable_relus(batch.net, ball).item() == pytest.approx(seen / len(batch.x))
    assert seen > 0


def test_every_relu_of_a_residual_net_counts():
    batch = batch_of("residual")
    states = Interval().states(batch.net, Ball(batch.x, EPS))
    boxes = [states[node.parents[0]] for node in batch.net.nodes() if isinstance(node.layer, ReLU)]
    assert len(boxes) == 3
    expected = -sum((1 + box.lower * box.upper).tanh().sum(1).mean() for box in boxes)
    torch.testing.assert_close(stability().value(batch), expected)


@pytest.mark.parametrize("name", ["conv", "residual"])
def test_no_fewer_unstable_relus_than_change_sign_in_samples(name):
    batch = batch_of(name, count=1)
    generator = torch.Generator().manual_seed(0)
    noise = 2 * torch.rand(500, *batch.x.shape[1:], generator=generator, dtype=torch.float64) - 1
    values = batch.net.walk(lambda layer, *v: layer(*v), batch.x + EPS * noise.sign())
    inputs = [values[node.parents[0]] for node in batch.net.nodes() if isinstance(node.layer, ReLU)]
    changing = sum(((z > 0).any(0) & (z < 0).any(0)).sum().item() for z in inputs)
    units = sum(z[0].numel() for z in inputs)
    assert 0 < changing <= unstable_relus(batch.net, Ball(batch.x, EPS)).item() <= units


def test_a_net_without_relus_has_nothing_to_stabilise():
    net = as_network(nn.Sequential(nn.Flatten(), nn.Linear(50, 3)).double())
    x = torch.rand(4, 2, 5, 5, dtype=torch.float64)
    assert stability().value(Batch(net, x, torch.tensor([0, 1, 2, 0]), EPS)).item() == 0
    assert unstable_relus(net, Ball(x, EPS)).item() == 0
    assert relu_inputs(net, Interval().states(net, Ball(x, EPS))) == []


@pytest.mark.slow
def test_training_with_it_leaves_fewer_unstable_relus():
    x = digits().test.x[:50].float() / 255
    counts, accuracies = [], []
    for weight, positions in ((0.0, "mean"), (1e-2, "mean"), (1e-3, "sum")):
        term = Term("relu_stability", weight, False, {"clip_input": True, "positions": positions})
        trained = train(model(term, eps="0.05", warmup=0, ramp=20), digits(), torch.device("cpu"))
        counts.append(unstable_relus(trained.net, Ball(x, 0.05, clip_input=True)).item())
        accuracies.append(trained.accuracies["test"])
    assert counts[1] < 0.97 * counts[0]
    assert counts[2] < 0.75 * counts[0]
    assert min(accuracies) > 0.75
