"""The certifier milp: never below a relaxation, and zero is no certificate. Exactness: tests/extras/exact."""

import pytest
import torch
from conftest import HIGHS, NETS, one_weight_net
from flips import named
from linear_nets import uniform
from norm_balls import RADII, margins_at
from torch import nn

from dmcore.certify import certify_points, margin_bounds
from dmcore.crown.margins import by_class, margin_rows
from dmcore.extras.exact import exact_margins
from dmcore.extras.exact.margins import Milp
from dmcore.extras.exact.program import Program
from dmcore.nets import as_network
from dmcore.perturbation import Ball

pytestmark = HIGHS

RELAXATIONS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "ibp"]
FAST = [  # nets and balls that take less than a second each
    *((name, "linf", 0.02) for name in sorted(NETS)),
    *(("rows", norm, eps) for norm, eps in RADII.items() if norm != "l2"),
    *(("chain", norm, eps) for norm, eps in RADII.items() if norm != "l2"),
    ("residual", "l1", 0.1),
]


def a_point(name, seed=0):
    net = NETS[name].make(seed, torch.float64)
    x = uniform(NETS[name].shape, 1, seed)
    return net, x, net(x).argmax(1)


@pytest.mark.parametrize(("name", "norm", "eps"), FAST)
def test_exact_and_never_below_a_relaxation(name, norm, eps):
    net, x, y = a_point(name)
    exact = exact_margins(net, x, y, eps, norm)
    assert exact.solved.all()
    torch.testing.assert_close(exact.lower, exact.upper, rtol=0, atol=1e-5)
    torch.testing.assert_close(margin_bounds(net, x, y, eps, norm, "milp"), exact.lower, rtol=0, atol=0)

    for certifier in RELAXATIONS:
        assert (margin_bounds(net, x, y, eps, norm, certifier) <= exact.lower + 1e-9).all()


def test_a_solve_that_is_stopped_is_sound():
    """At a node limit of 0 HiGHS has solved no more than the root."""
    net, x, y = a_point("residual")
    eps = 0.06
    whole = exact_margins(net, x, y, eps)
    best = torch.stack([margin_bounds(net, x, y, eps, certifier=name) for name in RELAXATIONS]).amax(0)
    for limits in ({"node_limit": 0}, {"node_limit": 5}, {"time_limit": 1e-3}):
        stopped = exact_margins(net, x, y, eps, **limits)
        assert not stopped.solved.all()
        assert (stopped.lower <= whole.upper).all()
        assert (stopped.upper >= whole.lower).all()
        assert (stopped.lower >= best - 1e-9).all()
    root = exact_margins(net, x, y, eps, node_limit=0)
    others = whole.lower.isfinite()
    assert (root.lower[others] > best[others] + 1e-3).any()  # the program's bound itself, not only the relaxations'
    assert (root.lower[others] < whole.lower[others] - 1e-3).any()


def test_a_bound_of_the_solver_that_is_above_an_occurring_margin_is_not_believed(monkeypatch):
    net, x, y = a_point("rows")
    monkeypatch.setattr(Program, "minimum", lambda *_: (1e6, None, True))
    found = exact_margins(net, x, y, 0.1)
    torch.testing.assert_close(found.lower, margins_at(net, x, y).detach().scatter(1, y[:, None], torch.inf))


def hat_net():
    """z₀ = 1 − |2x₀ − 1|, z₁ = 0: a margin of exactly 0 at x₀ = 0 and 1, and only a ReLU each to see it."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2))
    net[1].weight.data, net[1].bias.data = torch.tensor([[2.0], [-2.0]]), torch.tensor([-1.0, 1.0])
    net[3].weight.data, net[3].bias.data = torch.tensor([[-1.0, -1.0], [0.0, 0.0]]), torch.tensor([1.0, 0.0])
    return net


def test_a_margin_of_exactly_0_is_not_certified():
    y = torch.tensor([0])
    for net, at, used_up in ((one_weight_net(), 0.75, 0.25), (hat_net(), 0.5, 0.5)):
        x = torch.full((1, 1, 1, 1), at)
        for norm in ("linf", "l1"):
            radii = (0.9 * used_up, used_up, 1.1 * used_up)
            verdicts = [certify_points(net, x, y, eps, norm, "milp") for eps in radii]
            assert [v.certified.item() for v in verdicts] == [True, False, False]
            assert verdicts[0].margin.item() == pytest.approx(0.2 * used_up, abs=1e-6)
            assert verdicts[1].margin.item() == pytest.approx(0, abs=1e-6)
        changed = certify_points(net, x, y, 1, "l0", "milp")
        assert changed.margin.item() == pytest.approx(-1.0 if used_up == 0.25 else 0.0, abs=1e-6)
        assert not changed.certified.item()


def test_float32_is_rounded_down():
    net, x, y = a_point("rows")
    graph, ball = as_network(net.float()), Ball(x.float(), 0.1)
    bound = by_class(Milp().lower(graph, ball, margin_rows(y, 3, ball.x)), y, torch.inf)
    exact = exact_margins(net, x.float(), y, 0.1).lower
    assert bound.dtype == torch.float32
    assert (bound.double() <= exact).all()
    torch.testing.assert_close(bound.double(), exact)


def test_the_same_each_time_and_without_a_word(capfd):
    net, x, y = a_point("residual")
    found = [exact_margins(net, x, y, 0.06, node_limit=3) for _ in range(2)]
    for first, second in zip(*found, strict=True):
        assert torch.equal(first, second)
    assert capfd.readouterr() == ("", "")


def test_a_net_that_is_not_a_number_is_not_certified():
    net = hat_net()
    net[1].weight.data[0] = torch.nan
    assert not certify_points(net, torch.full((1, 1, 1, 1), 0.5), torch.tensor([0]), 0.1, certifier="milp").certified


def test_no_points_and_the_norm_that_is_refused():
    net = hat_net()
    none, y = torch.zeros(0, 1, 1, 1), torch.zeros(0).long()
    assert exact_margins(net, none, y, 0.1).lower.shape == (0, 2)
    assert certify_points(net, none, y, 0.1, certifier="milp").margin.shape == (0,)
    with named("milp knows no norm l2"):
        margin_bounds(net, torch.zeros(1, 1, 1, 1), torch.tensor([0]), 0.1, "l2", "milp")
