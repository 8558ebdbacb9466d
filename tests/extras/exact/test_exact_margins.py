"""Exact margins against minima found by other means: at the vertices, at the bends, and in closed form."""

import itertools

import pytest
import torch
from flips import named
from linear_nets import uniform as points
from norm_balls import RADII, farthest, length, margins_at
from torch import nn

from dmcore.domains import Interval
from dmcore.domains.rounding import interval_errors
from dmcore.extras.exact import exact_margins, model
from dmcore.extras.exact.ball import InputColumns
from dmcore.extras.exact.program import Program
from dmcore.nets import Network, as_network
from dmcore.nets.layers import Flatten, Linear, Normalize, ReLU, Scale, Sum
from dmcore.perturbation import Ball, Box


def solved(net, x, y, eps, norm="linf", clip=False):
    """The exact margins (K,) of one point, on which both sides agree."""
    found = exact_margins(net, x[None], torch.tensor([y]), eps, norm, clip)
    assert found.solved.all()
    assert (found.lower <= found.upper).all()
    torch.testing.assert_close(found.lower, found.upper, rtol=0, atol=1e-5)
    return found.lower[0]


def test_more_rounding_than_the_least_is_allowed_for_where_sums_are_long(monkeypatch):
    monkeypatch.setattr(model, "MIN_ROUNDING", 0.0)
    net, _ = plain()
    net, ball = as_network(net).requires_grad_(False), Ball(points((2,), 1), 0.1)
    bounds = Interval().states(net, ball)
    boxes = {index: Box.between(*Interval().bounds(state)) for index, state in enumerate(bounds)}
    for allowed, err in zip(model.Model(net, ball, boxes).rounding, interval_errors(net, ball), strict=True):
        assert (allowed > err).all()


# Two inputs: the minimum of a piecewise linear function is at a vertex of the lines where it bends.


def one_layer(units):
    return [nn.Flatten(), nn.Linear(2, units), nn.ReLU(), nn.Linear(units, 3)]


def plain(units=8):
    return nn.Sequential(*one_layer(units)).double(), lambda net: (net[1].weight, net[1].bias)


def normalised():
    net = nn.Sequential(Normalize([0.3], [0.25]), *one_layer(6)).double()
    return net, lambda net: (net[2].weight / 0.25, net[2].bias - net[2].weight.sum(1) * 0.3 / 0.25)


def pooled():
    """Windows of 2 among three values a channel, before and after a ReLU."""
    net = nn.Sequential(
        nn.Conv2d(1, 2, (1, 2), padding=(0, 1)),
        nn.MaxPool2d((1, 2), stride=1),
        nn.ReLU(),
        nn.MaxPool2d((1, 2), stride=1, padding=(0, 1)),
        nn.Flatten(),
        nn.Linear(6, 3),
    ).double()

    def bends(net):
        first = nn.Sequential(net[0], nn.Flatten())
        w, b = affine(first)
        pairs = list(itertools.combinations(range(len(b)), 2))
        return torch.cat([w, *(w[i : i + 1] - w[j : j + 1] for i, j in pairs)]), torch.cat(
            [b, *(b[i : i + 1] - b[j : j + 1] for i, j in pairs)]
        )

    return net, bends


def residual():
    """h + W x with h of a ReLU, half of whose units are scaled to 0."""
    net = Network()
    flat = net.add(Flatten())
    skip = net.add(Linear(2, 4), [flat])
    hidden = net.add(Scale(torch.tensor([1.0, 0.0, -2.0, 1.0])), [net.add(ReLU(), [net.add(Linear(2, 4), [flat])])])
    net.add(Linear(4, 3), [net.add(Sum(), [skip, hidden])])
    return net.double(), lambda net: (net.layers[2].weight, net.layers[2].bias)


def ensemble():
    net = Network()
    flat = net.add(Flatten())
    logits = [net.add(Linear(4, 3), [net.add(ReLU(), [net.add(Linear(2, 4), [flat])])]) for _ in range(2)]
    net.add(Sum(0.5), logits)
    firsts = [net.layers[1], net.layers[4]]
    return net.double(), lambda net: (torch.cat([m.weight for m in firsts]), torch.cat([m.bias for m in firsts]))


SMALL = {"plain": plain, "normalised": normalised, "pooled": pooled, "residual": residual, "ensemble": ensemble}


def affine(net):
    """Weight and bias of a net that is affine in two inputs."""
    at = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64).reshape(3, 1, 1, 2)
    b, *columns = net(at)
    return torch.stack([c - b for c in columns], 1), b


def small(name, seed):
    torch.manual_seed(seed)
    net, bends = SMALL[name]()
    for p in net.parameters():
        nn.init.normal_(p, std=1.0 if p.ndim > 1 else 0.3)
    weight, bias = (t.detach() for t in bends(net))
    return net, [(w, -b) for w, b in zip(weight, bias, strict=True)]


def edges(x, eps, norm, clip):
    """The lines ``a · x = b`` that bound the ball, or for ℓ0 the lines that it consists of."""
    units = torch.eye(2, dtype=torch.float64)
    if norm == "l1":
        slants = [torch.tensor([1.0, sign], dtype=torch.float64) for sign in (1.0, -1.0)]
        found = [(a, a @ x + side * eps) for a in slants for side in (1, -1)]
    elif norm == "l0":
        found = [(a, x[i]) for i, a in enumerate(units)]
    else:
        found = [(a, x[i] + side * eps) for i, a in enumerate(units) for side in (1, -1)]
    borders = [(a, torch.tensor(side, dtype=torch.float64)) for a in units for side in (0.0, 1.0)]
    return found + (borders if clip or norm == "l0" else [])


def vertices(lines, x, eps, norm, clip):
    """All points of the ball in which two of the lines meet."""
    found = [x]
    for (a, b), (c, d) in itertools.combinations(lines, 2):
        matrix = torch.stack([a, c])
        if matrix.det().abs() > 1e-12:
            found.append(torch.linalg.solve(matrix, torch.stack([b, d])))
    found = torch.stack(found)
    delta = (found - x).where((found - x).abs() > 1e-9, 0.0)
    inside = length(delta, norm) <= eps + 1e-9
    if clip or norm == "l0":
        inside &= ((found >= -1e-9) & (found <= 1 + 1e-9)).all(1)
    return found[inside].reshape(-1, 1, 1, 2)


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize(
    ("norm", "eps", "clip"),
    [("linf", 0.4, False), ("linf", 0.4, True), ("l1", 0.6, False), ("l1", 0.6, True), ("l0", 1, False)],
)
def test_the_minimum_over_all_vertices(name, norm, eps, clip):
    for seed in range(3):
        net, bends = small(name, seed)
        x, y = points((1, 1, 2), 1, seed)[0], seed % 3
        tried = vertices(bends + edges(x.flatten(), eps, norm, clip), x.flatten(), eps, norm, clip)
        expected = margins_at(net, tried, torch.full((len(tried),), y)).amin(0)
        others = torch.arange(3) != y
        exact = solved(net, x, y, eps, norm, clip)
        assert exact[y] == torch.inf
        torch.testing.assert_close(exact[others], expected[others], rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_deep_net_of_one_input(seed):
    """Twelve ReLUs in three layers, against half a million points of the ball."""
    torch.manual_seed(seed)
    hidden = [layer for size in (1, 4, 4) for layer in (nn.Linear(size, 4), nn.ReLU())]
    net = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(4, 3)).double()
    for p in net.parameters():
        nn.init.normal_(p, std=0.8)
    tried = torch.linspace(-0.5, 1.3, 500_000, dtype=torch.float64).reshape(-1, 1, 1, 1)
    expected = margins_at(net, tried, torch.full((len(tried),), 2)).amin(0).detach()
    exact = solved(net, torch.full((1, 1, 1), 0.4, dtype=torch.float64), 2, 0.9)
    torch.testing.assert_close(exact[:2], expected[:2], rtol=0, atol=3e-5)
    assert (exact[:2] <= expected[:2] + 1e-6).all()


@pytest.mark.parametrize("norm", ["linf", "l1", "l0"])
def test_a_linear_net_in_closed_form(norm):
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 3, (3, 2), stride=2, padding=1), nn.Conv2d(3, 2, 2, padding=1), nn.Flatten()]
    net = nn.Sequential(Normalize([0.5, 0.1], [0.2, 2.0]), *layers, nn.Linear(24, 5), nn.Linear(5, 3)).double()
    x, eps = points((2, 4, 4), 1)[0], RADII[norm]
    exact = solved(net, x, 1, eps, norm)
    jacobian = torch.autograd.functional.jacobian(net, x[None])[0, :, 0].flatten(1)
    for j in (0, 2):
        worst = x + farthest(jacobian[j] - jacobian[1], x.flatten(), eps, norm).reshape(x.shape)
        expected = margins_at(net, worst[None], torch.tensor([1]))[0, j]
        torch.testing.assert_close(exact[j], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_scale_of_hidden_values_and_logits_does_not_matter(scale):
    net, _ = small("plain", 0)
    x, eps = points((1, 1, 2), 1)[0], 0.4
    exact = solved(net, x, 0, eps)
    with torch.no_grad():
        net[1].weight.mul_(scale)
        net[1].bias.mul_(scale)
        net[3].weight.div_(scale)
    torch.testing.assert_close(solved(net, x, 0, eps), exact, rtol=1e-6, atol=0)
    with torch.no_grad():
        net[3].weight.mul_(scale)
        net[3].bias.mul_(scale)
    found = exact_margins(net, x[None], torch.tensor([0]), eps)
    torch.testing.assert_close(found.lower[0], scale * exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.3), ("l1", 0.7), ("l1", 0.0), ("l0", 2), ("l0", 0)])
@pytest.mark.parametrize("clip", [False, True])
def test_a_point_of_the_program_is_put_back_into_the_ball(norm, eps, clip):
    x = points((2, 3, 2), 1)
    x[0, 0] = 1.0
    program = Program()
    inputs = InputColumns(program, Ball(x, eps, norm, clip))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        at = inputs.input(2 * torch.rand(program.columns, generator=generator, dtype=torch.float64).numpy() - 1)
        assert length(at - x, norm).item() <= eps + 1e-12
        assert not clip or ((at >= 0) & (at <= 1)).all()
    lower, upper = inputs.input(-torch.ones(program.columns).numpy()), inputs.input(torch.ones(program.columns).numpy())
    assert eps == 0 or (lower - upper).abs().max() > 0.05  # and it does move


def test_what_cannot_be_solved_is_refused_in_one_line(monkeypatch):
    net, _ = small("plain", 0)
    x, y = points((1, 1, 2), 1), torch.tensor([0])
    monkeypatch.setattr(model, "MOST_BINARIES", 3)
    with named("needs 8 binaries at a point, more than 3, and would not end"):
        exact_margins(net, x, y, 5.0)
