"""The regularisers built from a range of logits against loops over samples and classes, in float64."""

import math

import pytest
import torch
from conftest import conv_net

from dmcore.bounds import double_margins, interval_bounds
from dmcore.errors import UserError
from dmcore.nets import as_network
from dmcore.registries import regularizer
from dmcore.regularizers import Batch

EPS = 0.05


def batch_of(net, eps=EPS):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(6, 2, 5, 5, generator=generator, dtype=torch.float64)
    return Batch(as_network(net), x, torch.tensor([0, 1, 2, 3, 0, 1]), eps)


def bounds_of(domain, net, batch, clip):
    if domain == "interval":
        return interval_bounds(net, batch.x, batch.eps, clip_input=clip)
    z, s, v = double_margins(net, batch.x, batch.eps)
    return z - s - v, z + s + v


@pytest.mark.parametrize("form", ["worst_logits", "literal"])
@pytest.mark.parametrize(("domain", "clip"), [("interval", True), ("interval", False), ("double_margin", False)])
def test_value_by_loops(domain, clip, form):
    net = conv_net(0, torch.float64)
    batch = batch_of(net)
    got = regularizer.get("worst_case")(domain=domain, clip_input=clip, form=form).value(batch)
    lower, upper = bounds_of(domain, net, batch, clip)
    z = net(batch.x)
    total = 0.0
    for i, y in enumerate(batch.y.tolist()):
        worst = [upper[i, j].item() for j in range(4)]
        if form == "worst_logits":
            worst[y] = lower[i, y].item()
        robust = math.log(sum(math.exp(w) for w in worst)) - lower[i, y].item()
        clean = math.log(sum(math.exp(v) for v in z[i].tolist())) - z[i, y].item()
        total += robust - clean
    assert got.item() == pytest.approx(total / 6, abs=1e-10)


@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_the_objective_is_the_two_cross_entropies_mixed(domain):
    """L + λR = (1−λ)·CE(z, y) + λ·CE(z*, y)."""
    net = conv_net(0, torch.float64)
    batch = batch_of(net)
    value = regularizer.get("worst_case")(domain=domain).value(batch)
    clean = torch.nn.functional.cross_entropy(net(batch.x), batch.y)
    robust = torch.nn.functional.cross_entropy(batch.worst_logits, batch.y)
    torch.testing.assert_close(clean + 0.3 * value, 0.7 * clean + 0.3 * robust)


@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_gradient_against_finite_differences(domain):
    net = conv_net(0, torch.float64)
    value = regularizer.get("worst_case")(domain=domain).value
    weight = net[2].weight
    (gradient,) = torch.autograd.grad(value(batch_of(net)), weight)
    torch.manual_seed(1)
    direction, step = torch.randn_like(weight), 1e-6
    seen = []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * step * direction
            seen.append(value(batch_of(net)).item())
            weight -= sign * step * direction
    assert (seen[0] - seen[1]) / (2 * step) == pytest.approx((gradient * direction).sum().item(), rel=1e-4)


@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_nothing_to_regularise_at_eps_0(domain):
    value = regularizer.get("worst_case")(domain=domain).value(batch_of(conv_net(0, torch.float64), eps=0.0))
    assert abs(value.item()) < 1e-12


def test_interval_bounds_the_loss_of_every_perturbed_input():
    net = conv_net(0, torch.float64)
    batch = batch_of(net)
    value = regularizer.get("worst_case")(domain="interval").value(batch)
    torch.manual_seed(0)
    for _ in range(50):
        delta = EPS * (torch.rand_like(batch.x) * 2 - 1).sign()
        loss = torch.nn.functional.cross_entropy(net(batch.x + delta), batch.y)
        assert loss <= batch.clean_loss + value + 1e-12


def test_double_margin_hands_on_the_clean_logits_it_has():
    net = conv_net(0, torch.float64)
    batch = batch_of(net)
    regularizer.get("worst_case")(domain="double_margin").value(batch)
    torch.testing.assert_close(batch.logits, net(batch.x))


def test_an_unknown_domain_is_named():
    with pytest.raises(UserError, match="unknown forward domain 'intervl': did you mean 'interval'"):
        regularizer.get("worst_case")(domain="intervl")
