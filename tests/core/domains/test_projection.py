"""Random projections against zonotopes whose generators are written out, by matrices in float64."""

import numpy as np
import pytest
import torch
from conftest import NETS, chain_net, conv_net
from dense_reference import box, matrices
from linear_nets import uniform

from dmcore.crown.bounds import relaxed_network
from dmcore.domains.projection import Projection
from dmcore.nets import Network, as_network
from dmcore.nets.layers import Normalize
from dmcore.perturbation import Ball
from dmcore.registries import certifier, forward_domain

MANY = 20_000  # an estimate's standard error is then π/(2√20000), 1.1%
EPS = 0.07


def boxes(net, x, projections, seed=0, clip=False):
    generator = torch.Generator().manual_seed(seed)
    return Projection(projections, generator).hidden_boxes(as_network(net), Ball(x, EPS, clip_input=clip))


def zonotopes(steps, x, clip):
    """(centre, half-widths) of every ReLU's input: the generators are the columns of a matrix that grows."""
    low, high = box(x, EPS, clip)
    center, generators, seen = (low + high) / 2, np.diag((high - low) / 2), []
    for step in steps:
        if step[0] == "affine":
            center, generators = step[1] @ center + step[2], step[1] @ generators
            continue
        radius = np.abs(generators).sum(1)
        seen.append((center, radius))
        slope, half = np.zeros(len(center)), np.zeros(len(center))
        for i, (lower, upper) in enumerate(zip(center - radius, center + radius, strict=True)):
            if lower >= 0:
                slope[i] = 1
            elif upper > 0:
                slope[i] = upper / (upper - lower)
                half[i] = -slope[i] * lower / 2
        center, generators = slope * center + half, np.hstack([slope[:, None] * generators, np.diag(half)])
    return seen


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize(("make", "in_shape"), [(conv_net, (2, 5, 5)), (chain_net, (1, 6, 6))])
def test_half_widths_are_those_of_the_zonotope(make, in_shape, clip):
    net = make(0, torch.float64)
    x = uniform(in_shape, 2, seed=3)
    with torch.no_grad():
        estimated = boxes(net, x, MANY, clip=clip)
        exact = relaxed_network(as_network(net), Ball(x, EPS, clip_input=clip), "relu").boxes
    assert estimated.keys() == exact.keys()
    unstable = 0
    for i in range(len(x)):
        expected = zonotopes(matrices(net, in_shape), x[i].flatten().numpy(), clip)
        for (center, radius), p in zip(expected, sorted(exact), strict=True):
            sure = exact[p]
            np.testing.assert_allclose(sure.radius.expand_as(sure.center)[i].flatten(), radius, rtol=1e-9)
            np.testing.assert_allclose(sure.center[i].flatten(), center, rtol=1e-9, atol=1e-12)
            got = estimated[p].radius.expand_as(sure.center)[i].flatten()
            np.testing.assert_allclose(got, radius, rtol=0.08)
            np.testing.assert_allclose(estimated[p].center[i].flatten(), center, atol=0.02 * radius.max())
            unstable += int(((center - radius < 0) & (center + radius > 0)).sum())
    assert unstable > 8


@pytest.mark.parametrize("name", ["residual", "rows"])
def test_boxes_of_other_nets_are_those_of_linear_relaxation(name):
    net = as_network(NETS[name].make(1, torch.float64))
    x = uniform(NETS[name].shape, 2, seed=3)
    with torch.no_grad():
        estimated = boxes(net, x, MANY)
        for p, exact in relaxed_network(net, Ball(x, EPS), "relu").boxes.items():
            scale, radius = exact.radius.max().item(), estimated[p].radius.expand_as(exact.center)
            torch.testing.assert_close(radius, exact.radius.expand_as(exact.center), rtol=0.08, atol=1e-12)
            torch.testing.assert_close(estimated[p].center, exact.center, rtol=0, atol=0.02 * scale)


def test_a_few_projections_are_about_right_on_average():
    net = as_network(conv_net(0, torch.float64))
    x = uniform((2, 5, 5), 8, seed=3)
    exact = relaxed_network(net, Ball(x, EPS), "relu").boxes
    last = max(exact)
    ratios = torch.stack([boxes(net, x, 51, seed)[last].radius / exact[last].radius for seed in range(40)])
    assert 0.9 < ratios.median() < 1.1
    assert 0.1 < ratios.std() < 0.5  # π/(2√51) is 0.22; no bound: half of them are too small
    assert 0.35 < (ratios < 1).double().mean() < 0.65


def test_the_first_layer_is_exact_behind_a_normalisation():
    net = conv_net(0, torch.float64)
    graph = Network()
    graph.add(Normalize([0.3, 0.2], [0.5, 2.0]))
    for layer in as_network(net).layers:
        graph.add(layer)
    graph = graph.double()
    x = uniform((2, 5, 5), 2, seed=3)
    for clip in (False, True):
        exact = relaxed_network(graph, Ball(x, EPS, clip_input=clip), "relu").boxes
        got = boxes(graph, x, 3, clip=clip)
        torch.testing.assert_close(got[2].lower, exact[2].lower)
        assert not torch.allclose(got[4].lower, exact[4].lower)


def test_only_the_generator_decides_and_every_pass_draws_fresh_numbers():
    net, ball = as_network(conv_net(0)), Ball(uniform((2, 5, 5), 2, seed=3).float(), EPS)
    domain, same = (Projection(7, torch.Generator().manual_seed(0)) for _ in range(2))
    first = domain.hidden_boxes(net, ball)
    torch.manual_seed(6)
    last = max(first)
    assert torch.equal(first[last].radius, same.hidden_boxes(net, ball)[last].radius)
    assert not torch.equal(first[last].radius, domain.hidden_boxes(net, ball)[last].radius)


def test_estimates_cannot_be_used_as_bounds():
    domain = Projection(5, torch.Generator())
    with pytest.raises(NotImplementedError):
        domain.bounds(domain.start(Ball(uniform((2, 5, 5), 2, seed=3), EPS)))
    assert not any("proj" in name for name in forward_domain.names() + certifier.names())
