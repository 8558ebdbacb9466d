"""MMR against Jacobians by autograd, one value at a time, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import NETS
from small_images import digits

from dmcore.crown.local_map import LocalMap
from dmcore.errors import UserError
from dmcore.linear import chunks as points
from dmcore.nets import Network, as_network
from dmcore.nets.layers import Conv, Flatten, Linear, Normalize, ReLU
from dmcore.registries import regularizer
from dmcore.regularizers import Batch
from dmcore.regularizers.mmr import boundary_distances, relu_distances

EPS = 0.02
RELU_NETS = sorted(set(NETS) - {"pool"})
NORMS = ["linf", "l2", "l1"]


def mmr(**options):
    return regularizer.get("mmr")(**options)


def batch_of(name, eps=EPS, count=4):
    make, in_shape = NETS[name]
    net = as_network(make(1, torch.float64))
    x = torch.rand(count, *in_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Batch(net, x, torch.tensor([0, 1, 2, 2])[:count], eps)


def values_of(net, x):
    return net.walk(lambda layer, *inputs: layer(*inputs), x)


def dual(gradient, norm):
    entries = [abs(v) for v in gradient.flatten().tolist()]
    return {"linf": sum(entries), "l2": math.sqrt(sum(v * v for v in entries)), "l1": max(entries)}[norm]


def distances_by_autograd(net, x, y, norm):
    """(distances to the ReLUs' hyperplanes, signed distances to the decision boundaries) of one point."""
    x = x[None].clone().requires_grad_()
    values = values_of(net, x)

    def distance(value):
        (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
        size = dual(gradient, norm)
        return value.item() / size if size else math.inf

    parents = sorted({node.parents[0] for node in net.nodes() if isinstance(node.layer, ReLU)})
    relus = [abs(distance(value)) for p in parents for value in values[p].flatten()]
    z = values[-1][0]
    return relus, [distance(z[y] - z[j]) if j != y else math.inf for j in range(len(z))]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", RELU_NETS)
def test_distances_are_those_of_autograd(name, norm):
    batch = batch_of(name)
    local = LocalMap(batch.net, values_of(batch.net, batch.x), norm)
    relus, boundaries = relu_distances(local), boundary_distances(local, batch.y)
    assert (boundaries < 0).any()
    for i, (x, y) in enumerate(zip(batch.x, batch.y.tolist(), strict=True)):
        expected = distances_by_autograd(batch.net, x, y, norm)
        for got, want in zip((relus, boundaries), expected, strict=True):
            torch.testing.assert_close(got[i].detach(), torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["conv", "residual"])
def test_value_by_loops(name, norm):
    batch = batch_of(name)
    got = mmr(norm=norm, gamma_b_of_eps=1.5, gamma_d_of_eps=8.0, nearest=0.1).value(batch)
    total, counted = 0.0, [0, 0]
    for x, y in zip(batch.x, batch.y.tolist(), strict=True):
        relus, boundaries = distances_by_autograd(batch.net, x, y, norm)
        near = sorted(relus)[: round(0.1 * len(relus))]
        inner = [max(0.0, 1 - d / (1.5 * EPS)) for d in near]
        outer = [max(0.0, 1 - d / (8.0 * EPS)) for j, d in enumerate(boundaries) if j != y]
        counted = [n + sum(v > 0 for v in part) for n, part in zip(counted, (inner, outer), strict=True)]
        total += sum(inner) / len(inner) + sum(outer) / len(outer)
    assert min(counted) > 0
    assert got.item() == pytest.approx(total / 4, rel=1e-10)
    torch.testing.assert_close(batch.logits, batch.net(batch.x))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", RELU_NETS)
def test_gradient_against_finite_differences(name, norm):
    options = {"norm": norm, "gamma_b_of_eps": 3.0, "gamma_d_of_eps": 5.0, "nearest": 0.5}
    seen, step = [], 1e-7
    for sign in (0, 1, -1):
        batch = batch_of(name)
        weights = [p for p in batch.net.parameters() if p.ndim > 1]
        generator = torch.Generator().manual_seed(3)
        directions = [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in weights]
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight += sign * step * direction
        value = mmr(**options).value(batch)
        if sign:
            seen.append(value.item())
        else:
            gradients = torch.autograd.grad(value, weights)
            seen.append(sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)).item())
    assert abs(seen[0]) > 1e-3
    assert seen[0] == pytest.approx((seen[1] - seen[2]) / (2 * step), rel=1e-4)


def test_border_neurons_behind_a_normalisation():
    """The padding has no coefficient, and 1/std belongs to the gradient."""
    torch.manual_seed(0)
    net = Network()
    for layer in (Normalize([0.5], [0.25]), Conv(1, 2, (3, 3), padding=(1, 1, 1, 1)), ReLU(), Flatten(), Linear(50, 3)):
        net.add(layer)
    net = net.double()
    x = torch.rand(2, 1, 5, 5, dtype=torch.float64)
    for norm in NORMS:
        got = relu_distances(LocalMap(net, values_of(net, x), norm))
        for i in range(2):
            want = torch.tensor(distances_by_autograd(net, x[i], 0, norm)[0], dtype=torch.float64)
            torch.testing.assert_close(got[i].detach(), want)


@pytest.mark.parametrize("norm", NORMS)
def test_neurons_that_nothing_moves_have_no_hyperplane(norm):
    batch = batch_of("conv")
    with torch.no_grad():
        batch.net.layers[0].bias.fill_(-100.0)
    local = LocalMap(batch.net, values_of(batch.net, batch.x), norm)
    first = batch.net.layers[0](batch.x)[0].numel()
    assert relu_distances(local)[:, :first].isfinite().all()
    assert relu_distances(local)[:, first:].isinf().all()
    assert boundary_distances(local, batch.y).isinf().all()
    mmr(norm=norm, nearest=1.0).value(batch).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in batch.net.parameters())


def test_the_same_whatever_part_of_the_batch_fits(monkeypatch):
    value = mmr().value(batch_of("conv"))
    monkeypatch.setitem(points.TRAINING_POINTS, "cpu", 1)
    torch.testing.assert_close(mmr().value(batch_of("conv")), value)


def test_wrong_options_and_nets_are_refused():
    with pytest.raises(UserError, match="nearest is a share in \\(0, 1\\], got 2"):
        mmr(nearest=2)
    with pytest.raises(UserError, match="γ must be > 0"):
        mmr(gamma_d_of_eps=0.0)
    with pytest.raises(UserError, match="unknown norm 'l0'"):
        mmr(norm="l0").value(batch_of("conv"))
    with pytest.raises(UserError, match="no rule for the layer MaxPool"):
        mmr().value(batch_of("pool"))


def test_training_moves_hyperplanes_and_boundaries_away():
    data = digits().train
    x = F.avg_pool2d(data.x[:320].float() / 255, 2)
    y, eps = data.y[:320], 0.05

    def trained(weight):
        torch.manual_seed(0)
        net = Network()
        for layer in (Conv(1, 4, (4, 4), (2, 2)), ReLU(), Flatten(), Linear(144, 20), ReLU(), Linear(20, 10)):
            net.add(layer)
        optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
        for _ in range(3):
            for part in range(0, 320, 8):
                batch = Batch(net, x[part : part + 8], y[part : part + 8], eps)
                loss = batch.clean_loss + (weight * mmr(nearest=0.2).value(batch) if weight else 0.0)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        with torch.no_grad():
            local = LocalMap(net, values_of(net, x[:100]), "linf")
            near = relu_distances(local).topk(20, largest=False).values.mean().item()
            return near, boundary_distances(local, y[:100]).amin(1).mean().item()

    plain, robust = trained(0.0), trained(1.0)
    assert robust[0] > 1.5 * plain[0]
    assert robust[1] > 1.2 * plain[1] > 0
