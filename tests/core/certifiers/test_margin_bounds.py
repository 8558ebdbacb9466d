"""Margin bounds in all norms: the dense reference's, the margins themselves at ε = 0, and in parts as in one.

That they hold, how they are ordered, and that they are exact without non-linear layers: tests/core/soundness.
"""

import dense_reference as reference
import pytest
import torch
from conftest import NETS, conv_net, plain_net, pool_net, relu_masks
from flips import named
from norm_balls import RADII, margins_at, points
from torch import nn

from dmcore.certifiers.alpha import Alpha
from dmcore.certify import certify_points, margin_bounds
from dmcore.crown.bounds import intersection, relaxed_network
from dmcore.linear import chunks, patches
from dmcore.nets import as_network
from dmcore.perturbation import Ball
from dmcore.perturbation.box import Box
from dmcore.registries import certifier as registry

CERTIFIERS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "ibp"]


def test_registry_has_exactly_these():
    assert set(registry.names()) == set(CERTIFIERS) | {"alpha", "milp"}  # the slow ones have tests of their own


def steps_of(name):
    """The dense reference's steps of one of NETS."""
    if name != "pruned":
        return reference.matrices(NETS[name].make(0), NETS[name].shape)
    net = plain_net(0)
    positive, negative = relu_masks(as_network(net), NETS[name].shape, 0)
    masks = iter([(~(positive[n] | negative[n]), positive[n]) for n in sorted(positive)])
    layers = [reference.PrunedReLU(*next(masks)) if isinstance(layer, nn.ReLU) else layer for layer in net]
    return reference.matrices(layers, NETS[name].shape)


PLAIN = [(name, certifier, False) for name in ("conv", "pool", "chain", "rows", "pruned") for certifier in CERTIFIERS]
BOTH = [(name, certifier, True) for name in ("conv", "pool", "chain", "rows") for certifier in CERTIFIERS[:3]]


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.02), *RADII.items()])
@pytest.mark.parametrize(("name", "certifier", "intersect"), PLAIN + BOTH)
def test_equal_to_the_dense_reference(name, certifier, intersect, norm, eps):
    x, y, steps = points(NETS[name].shape, 2), torch.tensor([0, 2]), steps_of(name)
    for clip in (False, True):
        ours = margin_bounds(NETS[name].make(0, torch.float64), x, y, eps, norm, certifier, clip, intersect)
        for i, label in enumerate(y.tolist()):
            ball = x[i].flatten().numpy(), label, eps
            if certifier == "ibp":
                expected = reference.margins_ibp(steps, *ball, clip, norm)
            else:
                slope = certifier.split("-")[-1]
                expected = reference.margins_linear(steps, *ball, slope, clip, norm, intersect)
            others = torch.arange(len(expected)) != label
            untied = name == "pool" and certifier == "cnn-cert-zero"  # room for rounding unties equal maxima
            expected = torch.tensor(expected)[others]
            assert ours[i, label] == torch.inf
            torch.testing.assert_close(ours[i, others], expected, rtol=0, atol=2e-2 if untied else 1e-6)


@pytest.fixture
def short(monkeypatch):
    """Fewer steps: what must hold after each one."""
    monkeypatch.setattr(Alpha, "STEPS", 8)
    monkeypatch.setattr(Alpha, "HIDDEN_STEPS", 2)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("certifier", [*CERTIFIERS, "alpha"])
def test_at_eps_0_the_margins_themselves_and_less_beyond(any_net, certifier, norm):
    net, x, y = any_net.make(0, torch.float64), points(any_net.shape, 2), torch.tensor([0, 1])
    margins = margins_at(net, x, y).scatter(1, y[:, None], torch.inf)
    previous = margin_bounds(net, x, y, 0, norm, certifier)
    torch.testing.assert_close(previous, margins)
    if certifier in ("ibp", "cnn-cert-zero"):  # the others may gain where a slope flips
        for eps in (0.05, 0.1, 0.2) if norm == "linf" else (1, 2, 4):
            bound = margin_bounds(net, x, y, eps, norm, certifier)
            assert (bound <= previous + 1e-9).all()
            previous = bound


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("certifier", "intersect"), [*((name, False) for name in [*CERTIFIERS, "alpha"]), ("cnn-cert-relu", True)]
)
def test_splitting_the_work_changes_nothing(any_net, certifier, intersect, monkeypatch):
    net, x = any_net.make(0, torch.float64), points(any_net.shape, 3)
    y, options = net(x).argmax(1), {"certifier": certifier, "intersect_ibp": intersect}
    whole = margin_bounds(net, x, y, 0.1, **options)
    assert whole.equal(margin_bounds(net, x, y, 0.1, **options))
    one_by_one = torch.cat([margin_bounds(net, x[i : i + 1], y[i : i + 1], 0.1, **options) for i in range(3)])
    torch.testing.assert_close(one_by_one, whole)
    most = max(torch.Size(shape).numel() for shape in as_network(net).shapes(x))
    monkeypatch.setitem(chunks.BUDGET, "cpu", 40 * most)  # room for a few neurons of one point at a time
    torch.testing.assert_close(margin_bounds(net, x, y, 0.1, **options), whole)
    monkeypatch.setitem(chunks.BUDGET, "cpu", 1)
    if certifier != "ibp":
        with pytest.raises(MemoryError, match="coefficients at once, budget 1"):
            margin_bounds(net, x, y, 0.1, **options)


def test_the_two_ways_to_grow_a_patch_agree(monkeypatch):
    net, x = conv_net(0, torch.float64), points((2, 5, 5), 6)
    y = net(x).argmax(1)
    unrolled = margin_bounds(net, x, y, 0.1)
    monkeypatch.setattr(patches, "UNROLLED", 0)
    torch.testing.assert_close(margin_bounds(net, x, y, 0.1), unrolled)


def test_intersected_bounds_that_cross_by_rounding_keep_the_value():
    first, second = (Box.between(*torch.tensor([[low], [low + 0.25]])) for low in (1.0, 1.5))
    box = intersection([first, second])
    assert (box.lower.item(), box.upper.item()) == (1.25, 1.5)


def test_intersected_boxes_at_eps_0_in_float32_are_not_turned_inside_out(any_net):
    """Both bounds are of one value there, from different sums."""
    net, x = as_network(any_net.make(0)), points(any_net.shape, 4).float()
    values = net.walk(lambda layer, *inputs: layer(*inputs), x)
    for node, box in relaxed_network(net, Ball(x, 0.0), "relu", intersect_ibp=True).boxes.items():
        assert (box.radius >= 0).all()
        torch.testing.assert_close(box.center, values[node], rtol=0, atol=1e-5)


def test_verdicts_follow_the_option_intersect_ibp():
    """A net and an ε at which only the intersected bounds are above 0."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2))
    net[1].weight.data, net[1].bias.data = torch.tensor([[1.0], [1.0]]), torch.zeros(2)
    net[3].weight.data, net[3].bias.data = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0.1, 0.0])
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    plain, both = (certify_points(net, x, y, 0.75, intersect_ibp=on) for on in (False, True))
    # σ(x) ≥ ⅚x, x from −¼ on: 0.1 − 5/24; in intervals σ(x) ≥ 0
    assert plain.margin.item() == pytest.approx(0.1 - 5 / 24, abs=1e-5)
    assert both.margin.item() == pytest.approx(0.1, abs=1e-5)
    assert (plain.certified.item(), both.certified.item()) == (False, True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"certifier": "cnn-cert-rel"}, "unknown certifier 'cnn-cert-rel': did you mean 'cnn-cert-relu'"),
        ({"norm": "linff"}, "unknown norm 'linff': did you mean 'linf'"),
        ({"x": torch.zeros(2, 3, 8, 7)}, "input (3, 8, 7) does not fit the network: layer 0 (Conv2d)"),
        ({"x": torch.zeros(2, 1, 8, 7).double()}, "does not fit the network"),
        ({"net": nn.Sequential(nn.Flatten(), nn.Linear(56, 3), nn.Sigmoid())}, "layer 2 (Sigmoid) cannot be bounded"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"net": pool_net(0), "x": torch.rand(2, 1, 8, 7), "y": torch.tensor([0, 1]), "eps": 0.1} | change
    with named(message):
        margin_bounds(**arguments)
