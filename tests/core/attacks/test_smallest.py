"""Smallest adversarial examples: where they are known in closed form, and never below a certified radius."""

import pytest
import torch
from conftest import NETS
from linear_nets import DUAL, ORDER, uniform
from torch import nn

from dmcore.attacks import smallest
from dmcore.attacks.smallest import smallest_adversarial
from dmcore.errors import UserError
from dmcore.radius import certified_radius


def linear_net(x):
    """Two classes, with a margin so small that no pixel need leave [0, 1]."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 2)).double()
    net[1].bias.data -= net(x).mean(0)
    return net


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_of_a_linear_net_it_is_the_margin_over_the_dual_norm(norm):
    x = 0.45 + 0.1 * uniform((3, 4), 6)
    net = linear_net(x)
    z, w = net(x).detach(), net[1].weight.detach()
    y = z.argmax(1)
    y[0] = 1 - y[0]
    found = smallest_adversarial(net, x, y, norm, tolerance=0.02, restarts=1)
    known = (z[:, 0] - z[:, 1]).abs() / (w[0] - w[1]).norm(DUAL[norm])
    assert found.eps[0] == 0
    assert torch.equal(found.inputs[0], x[0])
    assert (found.eps[1:] >= known[1:]).all()
    assert (found.eps[1:] <= 1.05 * known[1:]).all()
    assert (found.predicted == 1 - y).all()
    assert torch.equal(net(found.inputs).argmax(1), found.predicted)
    far = torch.linalg.vector_norm((found.inputs - x).flatten(1), ORDER[norm], dim=1)
    assert (far <= found.eps).all()


def test_nothing_is_found_where_there_is_nothing():
    x = torch.rand(2, 3, 4)
    net = linear_net(x.double()).float()
    net[1].weight.data.zero_()
    net[1].bias.data = torch.tensor([1.0, 0.0])
    found = smallest_adversarial(net, x, torch.tensor([0, 1]), restarts=1, steps=2, tolerance=1)
    assert found.eps.tolist() == [torch.inf, 0.0]
    assert torch.equal(found.inputs, x.double())


def test_certified_radii_stay_below_and_save_the_search_there():
    net, x = NETS["conv"].make(0).eval(), uniform(NETS["conv"].shape, 4, dtype=torch.float32)
    y = net(x).argmax(1)
    options = {"restarts": 1, "steps": 10}
    found = smallest_adversarial(net, x, y, **options)
    radius = certified_radius(net, x, y).radius
    assert (radius > 0).all()
    assert (radius <= found.eps).all()
    assert (smallest_adversarial(net, x, y, robust_at=radius, **options).eps > radius).all()
    assert smallest_adversarial(net, x, y, robust_at=torch.full((4,), 1.0), **options).eps.tolist() == [torch.inf] * 4


def test_many_points_pass_the_network_a_few_at_a_time(monkeypatch):
    x = torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net, y = linear_net(x), torch.tensor([0, 1, 0, 1, 0])
    expected = smallest_adversarial(net, x, y, restarts=1, steps=5)
    monkeypatch.setattr(smallest, "POINTS_AT_ONCE", 2)
    found = smallest_adversarial(net, x, y, restarts=1, steps=5)
    assert torch.equal(found.eps, expected.eps)
    assert torch.equal(found.predicted, expected.predicted)


def test_a_batch_may_be_empty():
    net = linear_net(torch.rand(2, 3, 4).double())
    found = smallest_adversarial(net, torch.rand(0, 3, 4).double(), torch.zeros(0, dtype=torch.long))
    assert len(found) == 0
    assert repr(found) == "SmallestAdversarial(0 points, 0 broken at some ε)"


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.rand(2, 3, 4).half(), [0, 1], "float16"),
        (torch.full((2, 3, 4), 2.0), [0, 1], "outside"),
        (torch.rand(2, 3, 4), [0, 2], "labels must be 2 integers in 0..1"),
        (torch.rand(2, 3, 4), [0], "labels must be 2 integers in 0..1"),
    ],
)
def test_bad_input_is_named_before_any_search(x, y, message):
    """Also where all points are misclassified, so that nothing would be searched."""
    net = linear_net(torch.rand(2, 3, 4).double()).float()
    net[1].weight.data.zero_()
    with pytest.raises(UserError, match=message):
        smallest_adversarial(net, x, y)
