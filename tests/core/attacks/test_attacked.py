"""Attacks on trained nets: exact where the answer is known, inside the ball, never against a certificate."""

import copy
import sys
from fractions import Fraction
from importlib.util import find_spec

import pytest
import torch
from conftest import NETS
from flips import named
from linear_nets import best_of_a_line, linear_net
from linear_nets import uniform as points
from norm_balls import RADII, all_changes, farthest
from torch import nn

from dmcore.attacks.best import BestAdversarial, inside, into_ball, margins
from dmcore.attacks.evaluate import attack_points
from dmcore.certify import certify_points
from dmcore.nets import as_network
from dmcore.perturbation.ball import PIXELS, Ball

NORMS = ["linf", "l2", "l1", "l0"]
ANY = (-float("inf"), float("inf"))
EPS = {"linf": 0.12, "l2": 0.35, "l1": 0.9, "l0": 2}


def worst_margins(net, x, y, eps, norm):
    """The smallest margin over each ball of a linear net, in closed form."""
    w, found = net[1].weight.detach(), []
    for point, label in zip(x, y, strict=True):
        others = torch.arange(len(w)) != label
        worst = point.flatten() + farthest((w - w[label])[others], point.flatten(), eps, norm)
        z = net(worst).detach()
        found.append((z[:, label] - z[:, others].diagonal()).min())
    return torch.stack(found)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_breaks_exactly_the_points_of_a_linear_net_that_can_be_broken(norm, dtype):
    net, x = linear_net(12, 4), points((3, 4), 60)
    y = net(x).argmax(1)
    x = x.to(dtype)
    found = attack_points(copy.deepcopy(net).to(dtype), x, y, EPS[norm], norm, clip_input=False, restarts=1)
    net = copy.deepcopy(net).to(dtype).double()
    worst = worst_margins(net, x.double(), y, EPS[norm], norm)
    clear = worst.abs() > 2e-3
    assert clear.sum() > 50
    assert (worst < 0).sum() > 5
    assert (worst > 0).sum() > 5
    assert torch.equal(found.broken[clear], worst[clear] < 0)
    assert (found.margin >= worst - 1e-9).all()  # the whole ball holds nothing worse
    stood = ~found.broken
    torch.testing.assert_close(found.margin[stood], worst[stood], atol=2e-3, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_within_the_pixels_range_the_worst_is_that_of_the_cut_ball(norm):
    net, x = linear_net(12, 2), (points((12,), 40) * 3 - 1).clamp(0, 1)
    y, w = net(x).argmax(1), net[1].weight.detach()
    found = attack_points(net, x, y, EPS[norm], norm, restarts=1, steps=80)
    for label, sign in ((0, 1.0), (1, -1.0)):
        mine = (y == label) & ~found.broken
        rise = best_of_a_line(x[mine], sign * (w[1] - w[0]), norm, EPS[norm])
        expected = sign * (net[1].bias[0] - net[1].bias[1]).detach() - rise
        torch.testing.assert_close(found.margin[mine], expected, atol=5e-3, rtol=0)
        assert (found.margin[mine] >= expected - 1e-9).all()
    assert ((found.inputs >= 0) & (found.inputs <= 1)).all()


def exact_length(delta, norm):
    """‖δ‖ in rational arithmetic, squared under ℓ2."""
    values = [abs(d) for d in delta]
    if norm == "l0":
        return sum(v != 0 for v in values)
    return {"linf": lambda: max(values), "l1": lambda: sum(values), "l2": lambda: sum(v * v for v in values)}[norm]()


def exactly_inside(at, x, eps, norm):
    delta = [Fraction(a) - Fraction(b) for a, b in zip(at.flatten().tolist(), x.flatten().tolist(), strict=True)]
    return exact_length(delta, norm) <= (Fraction(eps) ** 2 if norm == "l2" else Fraction(eps))


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.1, 8 / 255, 3.0])
def test_what_rounding_left_outside_is_moved_inside_to_exactness(norm, eps, cut):
    x = points((1, 8, 8), 10)
    far = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    limits = PIXELS if cut else ANY
    at = into_ball(far, x, eps, norm, limits)
    assert inside(at, x, eps, norm, limits).all()
    assert all(exactly_inside(at[i], x[i], eps, norm) for i in range(len(x)))
    if not cut and eps <= 0.1:  # and nothing is given away
        length = (at - x).flatten(1).norm({"linf": float("inf"), "l2": 2, "l1": 1}[norm], dim=1)
        assert (length >= eps * (1 - 1e-6)).all()


def test_inside_says_no_to_what_is_not():
    x = torch.zeros(1, 4, dtype=torch.float64)
    assert not inside(torch.tensor([[0.0, 0.0, 0.0, 0.1]], dtype=x.dtype), x, 0.1, "linf", PIXELS)  # in doubt
    assert inside(torch.tensor([[0.0, 0.0, 0.0, 0.1 - 1e-14]], dtype=x.dtype), x, 0.1, "linf", PIXELS)
    assert not inside(torch.tensor([[0.0, 0.0, 0.06, 0.06]], dtype=x.dtype), x, 0.1, "l1", PIXELS)
    assert inside(torch.tensor([[0.0, 0.0, 0.06, 0.06]], dtype=x.dtype), x, 0.1, "l2", PIXELS)
    below = torch.tensor([[0.0, 0.0, 0.0, -0.01]], dtype=x.dtype)
    assert not inside(below, x, 0.1, "linf", PIXELS)
    assert inside(below, x, 0.1, "linf", ANY)
    assert not inside(below, x, 1, "l0", PIXELS)
    assert inside(-below, x, 1, "l0", PIXELS)
    assert not inside(torch.tensor([[0.0, 0.3, 0.0, 1.0]], dtype=x.dtype), x, 1, "l0", PIXELS)


def test_an_input_outside_the_ball_is_no_find():
    net = linear_net(4, 2)
    net[1].weight.data, net[1].bias.data = torch.eye(2, 4).double(), torch.tensor([0.5, 0.0]).double()
    x, y, everything = torch.zeros(1, 4).double(), torch.tensor([0]), torch.tensor([0])
    found = BestAdversarial(net, Ball(x, 1, "l0"), y)
    assert found.margin.item() == 0.5
    found.update(everything, torch.tensor([[0.0, 1.0, 1.0, 0.0]]))  # two changes; misclassified
    assert not found.broken.any()
    found.update(everything, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
    assert found.broken.all()
    assert found.margin.item() == -0.5
    found.update(everything, torch.tensor([[0.0, 0.75, 0.0, 0.0]]))  # less bad than what is known
    assert found.margin.item() == -0.5
    assert found.inputs.tolist() == [[0.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize(("gap", "broken"), [(0.0, False), (-1e-12, False), (-1e-6, True)])
def test_a_margin_that_float64_cannot_tell_from_0_breaks_nothing(gap, broken):
    net = linear_net(2, 2)
    net[1].weight.data, net[1].bias.data = torch.zeros(2, 2).double(), torch.tensor([1 + gap, 1], dtype=torch.float64)
    assert attack_points(net, points((2,), 3), torch.zeros(3).long(), 0.1, steps=2).broken.tolist() == [broken] * 3


@pytest.mark.parametrize("norm", NORMS)
def test_no_certified_point_is_broken_and_every_find_is_one(norm):
    """On every net; certificates at a third of ε are there so that the attack has something to be wrong about."""
    certified_inside_broken = stood = broke = 0
    for make, in_shape in NETS.values():
        net, x = as_network(make(0)), points(in_shape, 8, dtype=torch.float32)
        y = net(x).argmax(1)
        for eps in (RADII[norm], 4 * RADII[norm]):
            found = attack_points(net, x, y, eps, norm, clip_input=False, restarts=1, steps=12)
            for certifier in ("cnn-cert-relu", "ibp"):
                certified = certify_points(net, x, y, eps, norm, certifier).certified
                assert not (certified & found.broken).any()
                stood += certified.sum()
            smaller = eps // 3 if norm == "l0" else eps / 3
            certified_inside_broken += (certify_points(net, x, y, smaller, norm).certified & found.broken).sum()
            broke += found.broken.sum()
            double = copy.deepcopy(net).double()
            seen = margins(double(found.inputs).detach(), y)
            torch.testing.assert_close(found.margin, seen)
            assert torch.equal(found.broken, seen < 0)
            assert all(exactly_inside(found.inputs[i], x[i], eps, norm) for i in range(len(x)))
    assert stood > 5
    assert broke > 5
    assert certified_inside_broken > 0


def test_two_changed_inputs_break_what_any_two_at_their_ends_break():
    broke = 0
    for seed in range(3):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 3)).double()
        net[1].weight.data *= 2
        x = points((2, 4), 10, seed)
        y = net(x).argmax(1)
        found = attack_points(net, x, y, 2, "l0", restarts=2, steps=20)
        for i in range(len(x)):
            by_force = (net(torch.stack(list(all_changes(x[i], 2)))).argmax(1) != y[i]).any()
            assert found.broken[i] or not by_force
            broke += by_force
    assert 3 < broke < 27


@pytest.mark.parametrize("norm", NORMS)
def test_where_every_point_is_broken_or_there_is_none_nothing_is_left_to_do(norm):
    net, x = linear_net(6, 3), points((6,), 5)
    wrong = net(x).argmin(1)
    assert attack_points(net, x, wrong, 2, norm, restarts=2, steps=2).broken.all()
    assert attack_points(net, x[:0], wrong[:0], 2, norm, restarts=2, steps=2).broken.shape == (0,)


@pytest.mark.parametrize("norm", NORMS)
def test_eps_0_breaks_the_misclassified_alone(norm):
    net, x = linear_net(6, 3), points((6,), 12)
    y = torch.arange(12) % 3
    found = attack_points(net, x, y, 0, norm, steps=2)
    assert torch.equal(found.broken, net(x).argmax(1) != y)
    assert torch.equal(found.predicted, net(x).argmax(1))
    assert torch.equal(found.inputs, x)


def test_deterministic_by_seed_and_the_net_stays_as_it_is():
    net, x = NETS["conv"].make(0), points(NETS["conv"].shape, 6, dtype=torch.float32)
    y = net(x).argmax(1)
    net(x).sum().backward()
    before = [(p.detach().clone(), p.grad.clone()) for p in net.parameters()]
    found = []
    for noise, seed in ((0, 1), (1, 1), (0, 2)):
        torch.manual_seed(noise)
        found.append(attack_points(net, x, y, 0.02, seed=seed, restarts=2, steps=3).inputs)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    for p, (value, gradient) in zip(net.parameters(), before, strict=True):
        assert torch.equal(p, value)
        assert torch.equal(p.grad, gradient)


def test_restarts_find_no_less():
    net, x = NETS["residual"].make(0), points(NETS["residual"].shape, 12, dtype=torch.float32)
    y = net(x).argmax(1)
    one, three = (attack_points(net, x, y, 0.05, restarts=r, steps=3) for r in (1, 3))
    assert not (one.broken & ~three.broken).any()
    assert (three.margin <= one.margin).all()
    assert (three.margin < one.margin).any()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"attack": "pdg"}, "unknown attack 'pdg': did you mean 'pgd'?"),
        ({"norm": "l3"}, "unknown norm 'l3'"),
        ({"eps": -0.1}, "eps must be a finite number ≥ 0"),
        ({"eps": 1.5, "norm": "l0"}, "a whole number, not 1.5"),
        ({"steps": 0}, "restarts and steps must be ≥ 1"),
        ({"attack": "auto", "norm": "l0", "eps": 1}, "the attack 'auto' has no norm 'l0'"),
        pytest.param(
            {"attack": "auto", "clip_input": False},
            "the attack 'auto' stays in the inputs' range",
            marks=pytest.mark.skipif(find_spec("art") is None, reason="needs art"),
        ),
    ],
)
def test_what_cannot_be_attacked_is_refused(change, told):
    with named(told):
        attack_points(linear_net(4, 2), points((4,), 2), torch.tensor([0, 1]), **{"eps": 0.1} | change)


def test_inputs_that_the_network_does_not_take_are_refused():
    for x in (points((4,), 2).float(), points((5,), 2)):
        with named("does not fit the network"):
            attack_points(linear_net(4, 2), x, torch.tensor([0, 1]), 0.1)


def test_without_art_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "art.attacks", None)
    with named("pip install 'doublemargin[attacks]'"):
        attack_points(linear_net(4, 2), points((4,), 2), torch.tensor([0, 1]), 0.1, attack="auto")
