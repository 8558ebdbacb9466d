"""Linear relaxations that never leave the interval bounds: values, soundness, and what is never looser than what."""

import dense_reference as reference
import pytest
import torch
from conftest import NETS
from norm_balls import RADII, points
from torch import nn

from dmcore.certify import certify_points, margin_bounds
from dmcore.crown.bounds import intersection, relaxed_network
from dmcore.crown.relaxers import fixed_slope
from dmcore.domains import Interval
from dmcore.nets import as_network
from dmcore.perturbation import Ball
from dmcore.perturbation.box import Box

VARIANTS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero"]
EPS = RADII | {"linf": 0.15}


def bounds(net, x, y, eps, norm, certifier, clip=False, intersect=True):
    """Margins' bounds without the columns of the points' own classes."""
    found = margin_bounds(net, x, y, eps, norm, certifier, clip, intersect)
    return found[found.isfinite()].reshape(len(x), -1)


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("certifier", VARIANTS)
@pytest.mark.parametrize("name", ["conv", "pool", "chain", "rows"])
def test_equal_to_the_dense_reference(name, certifier, norm):
    make, in_shape = NETS[name]
    x, y = points(in_shape, 2), torch.tensor([0, 2])
    steps = reference.matrices(make(0), in_shape)
    for clip in (False, True):
        ours = bounds(make(0, torch.float64), x, y, EPS[norm], norm, certifier, clip)
        for i, label in enumerate(y.tolist()):
            ball = (x[i].flatten().numpy(), label, EPS[norm], certifier.split("-")[-1], clip, norm)
            expected = torch.tensor(reference.margins_linear(steps, *ball, intersect=True))
            others = torch.arange(len(expected)) != label
            untied = name == "pool" and certifier == "cnn-cert-zero"  # room for rounding unties equal maxima
            torch.testing.assert_close(ours[i], expected[others], rtol=0, atol=5e-3 if untied else 1e-6)


@pytest.mark.parametrize("norm", EPS)
@pytest.mark.parametrize("clip", [False, True])
def test_never_below_ibp(any_net, norm, clip):
    """Nor does any hidden box leave IBP's. A cut ball of ℓ2 or ℓ1 has two bounds, of which affine layers in a row may
    take different ones: there only where ReLUs stand between."""
    make, in_shape = any_net
    net, x = as_network(make(0, torch.float64)), points(in_shape, 3)
    if clip and norm in ("l2", "l1") and any_net[0].__name__ == "chain_net":
        return
    y = net(x).argmax(1)
    ball = Ball(x, EPS[norm], norm, clip)
    intervals = Interval().states(net, ball)
    ibp = bounds(net, x, y, EPS[norm], norm, "ibp", clip)
    for certifier in VARIANTS:
        assert (bounds(net, x, y, EPS[norm], norm, certifier, clip) >= ibp - 1e-9).all()
        relaxer = fixed_slope(certifier.split("-")[-1])
        for node, box in relaxed_network(net, ball, relaxer, intersect_ibp=True).boxes.items():
            assert (box.lower >= intervals[node].lower - 1e-9).all()
            assert (box.upper <= intervals[node].upper + 1e-9).all()


@pytest.mark.parametrize("norm", EPS)
def test_zero_gains_nothing(any_net, norm):
    """Its own bounds never leave the interval ones (Figure 3: slope 0), so it is the option's fixed point."""
    make, in_shape = any_net
    net, x = make(1, torch.float64), points(in_shape, 3)
    y = net(x).argmax(1)
    plain, both = (bounds(net, x, y, EPS[norm], norm, "cnn-cert-zero", intersect=i) for i in (False, True))
    torch.testing.assert_close(both, plain)


@pytest.mark.parametrize("certifier", ["cnn-cert-relu", "cnn-cert-ada"])
def test_it_gains_where_intervals_are_ahead(certifier):
    """At a large ε, where parallel and adaptive lines fall behind intervals at some neurons; on every margin."""
    make, in_shape = NETS["conv"]
    net, x = make(0, torch.float64), points(in_shape, 3)
    y = net(x).argmax(1)
    plain, both, ibp = (
        bounds(net, x, y, 0.5, "linf", *how) for how in ((certifier, False, False), (certifier,), ("ibp",))
    )
    assert (both > torch.maximum(plain, ibp) + 1e-3).all()


def test_hidden_boxes_hold_every_value_that_occurs(any_net):
    make, in_shape = any_net
    net, x = as_network(make(0, torch.float64)), points(in_shape, 1)
    noise = torch.rand(5000, *in_shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype) * 2 - 1
    noise[::2] = noise[::2].sign()
    values = net.walk(lambda layer, *inputs: layer(*inputs), x + 0.15 * noise)
    for slope in ("relu", "ada", "zero"):
        for node, box in relaxed_network(net, Ball(x, 0.15), fixed_slope(slope), intersect_ibp=True).boxes.items():
            assert (values[node] >= box.lower - 1e-9).all()
            assert (values[node] <= box.upper + 1e-9).all()


def test_by_hand():
    """g = (σ(x) + σ(−x), 3σ(x) − σ(−x)) over x ∈ [−1, 1], where x ≤ σ(x) ≤ ½(x + 1) are CNN-Cert-Ada's lines.

    These give g₀ ≥ x − x = 0, g₀ ≤ 1, g₁ ≥ 3x − ½(1 − x) ≥ −4, g₁ ≤ 3/2 (x + 1) + x ≤ 4; intervals [0, 2] and [−1, 3].
    """
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    for layer, weight, bias in (
        (net[1], [[1.0], [-1.0]], [0.0, 0.0]),
        (net[3], [[1.0, 1.0], [3.0, -1.0]], [0.0, 0.0]),
        (net[5], [[1.0, 0.0], [0.0, 0.0]], [0.0, 0.0]),
    ):
        layer.weight.data, layer.bias.data = torch.tensor(weight).double(), torch.tensor(bias).double()
    ball = Ball(torch.zeros(1, 1, 1, 1, dtype=torch.float64), 1.0)
    graph = as_network(net)
    plain, both = (relaxed_network(graph, ball, fixed_slope("ada"), intersect_ibp=on).boxes[4] for on in (False, True))
    torch.testing.assert_close(plain.lower, torch.tensor([[0.0, -4.0]]).double())
    torch.testing.assert_close(plain.upper, torch.tensor([[1.0, 4.0]]).double())
    torch.testing.assert_close(both.lower, torch.tensor([[0.0, -1.0]]).double())
    torch.testing.assert_close(both.upper, torch.tensor([[1.0, 3.0]]).double())


def test_bounds_that_cross_by_rounding_keep_the_value():
    first, second = Box.between(torch.tensor([1.0]), torch.tensor([1.25])), Box.between(*torch.tensor([[1.5], [1.75]]))
    box = intersection([first, second])
    assert (box.lower.item(), box.upper.item()) == (1.25, 1.5)
    assert (box.radius >= 0).all()


def test_at_eps_0_in_float32_no_box_is_turned_inside_out(any_net):
    """Both bounds are of one value there, from different sums."""
    make, in_shape = any_net
    net, x = as_network(make(0)), points(in_shape, 4).float()
    values = net.walk(lambda layer, *inputs: layer(*inputs), x)
    for node, box in relaxed_network(net, Ball(x, 0.0), fixed_slope("relu"), intersect_ibp=True).boxes.items():
        assert (box.radius >= 0).all()
        torch.testing.assert_close(box.center, values[node], rtol=0, atol=1e-5)
    y = torch.tensor([0, 1, 2, 0])
    margins = (values[-1].gather(1, y[:, None]) - values[-1]).scatter(1, y[:, None], torch.inf)
    torch.testing.assert_close(margin_bounds(net, x, y, 0.0, intersect_ibp=True), margins, rtol=0, atol=1e-5)


def test_verdicts_follow_the_option():
    """A net and an ε at which only the intersected bounds are above 0."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2))
    net[1].weight.data, net[1].bias.data = torch.tensor([[1.0], [1.0]]), torch.zeros(2)
    net[3].weight.data, net[3].bias.data = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0.1, 0.0])
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    plain, both = (certify_points(net, x, y, 0.75, "linf", "cnn-cert-relu", False, i) for i in (False, True))
    # σ(x) ≥ ⅚x, x from −¼ on: 0.1 − 5/24; in intervals σ(x) ≥ 0
    assert plain.margin.item() == pytest.approx(0.1 - 5 / 24, abs=1e-5)
    assert both.margin.item() == pytest.approx(0.1, abs=1e-5)
    assert (plain.certified.item(), both.certified.item()) == (False, True)
