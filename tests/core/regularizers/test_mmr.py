"""MMR against Jacobians by autograd, one value at a time, in float64."""

import math

import pytest
import torch
from batches import batch_of
from conftest import NETS

from dmcore.errors import UserError
from dmcore.nets.layers import ReLU
from dmcore.registries import regularizer
from dmcore.regularizers.mmr import boundary_distances, relu_distances

EPS = 0.02
RELU_NETS = sorted(set(NETS) - {"pool"})
NORMS = ["linf", "l2", "l1"]


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
    batch = batch_of(name, EPS)
    values = values_of(batch.net, batch.x)
    relus = relu_distances(batch.net, values, norm)
    boundaries = boundary_distances(batch.net, values, batch.y, norm)
    assert (boundaries < 0).any()
    for i, (x, y) in enumerate(zip(batch.x, batch.y.tolist(), strict=True)):
        expected = distances_by_autograd(batch.net, x, y, norm)
        for got, want in zip((relus, boundaries), expected, strict=True):
            torch.testing.assert_close(got[i].detach(), torch.tensor(want, dtype=torch.float64), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["conv", "residual"])
def test_value_by_loops(name, norm):
    batch = batch_of(name, EPS)
    got = regularizer.get("mmr")(norm=norm, gamma_b_of_eps=1.5, gamma_d_of_eps=8.0, nearest=0.1).value(batch)
    total, counted = 0.0, [0, 0]
    for x, y in zip(batch.x, batch.y.tolist(), strict=True):
        relus, boundaries = distances_by_autograd(batch.net, x, y, norm)
        near = sorted(relus)[: round(0.1 * len(relus))]
        inner = [max(0.0, 1 - d / (1.5 * EPS)) for d in near]
        outer = [max(0.0, 1 - d / (8.0 * EPS)) for j, d in enumerate(boundaries) if j != y]
        counted = [n + sum(v > 0 for v in part) for n, part in zip(counted, (inner, outer), strict=True)]
        total += sum(inner) / len(inner) + sum(outer) / len(outer)
    assert min(counted) > 0
    assert got.item() == pytest.approx(total / 5, rel=1e-10)
    torch.testing.assert_close(batch.logits, batch.net(batch.x))


@pytest.mark.parametrize("norm", NORMS)
def test_neurons_that_nothing_moves_have_no_hyperplane(norm):
    batch = batch_of("conv", EPS)
    with torch.no_grad():
        batch.net.layers[0].bias.fill_(-100.0)
    values = values_of(batch.net, batch.x)
    first = batch.net.layers[0](batch.x)[0].numel()
    assert relu_distances(batch.net, values, norm)[:, :first].isfinite().all()
    assert relu_distances(batch.net, values, norm)[:, first:].isinf().all()
    assert boundary_distances(batch.net, values, batch.y, norm).isinf().all()


def test_a_norm_without_a_dual_here_is_refused():
    with pytest.raises(UserError, match="mmr: unknown norm 'l0'"):
        regularizer.get("mmr")(norm="l0")
