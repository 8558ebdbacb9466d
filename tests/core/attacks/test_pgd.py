"""PGD against brute force on linear nets, by hand, and against what an attack must never do."""

import pytest
import torch
from conftest import conv_net
from linear_nets import ORDER, best_of_a_line, linear_net, near_corners

from dmcore.attacks import cross_entropy
from dmcore.attacks.pgd import Pgd, _worse
from dmcore.errors import UserError
from dmcore.nets import build_net

EPS = {"linf": 0.1, "l2": 0.4, "l1": 1.5}
NORMS = sorted(EPS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=6, dtype=torch.float64):
    return near_corners(count, (2, 5, 5), dtype=dtype), torch.arange(count) % 4


@pytest.mark.parametrize("random_start", [True, False])
@pytest.mark.parametrize(
    ("norm", "steps", "step", "off"), [("linf", 20, 0.25, 1e-9), ("l2", 60, 0.5, 1e-6), ("l1", 400, 0.01, 0.01)]
)
def test_worst_case_of_a_linear_net(norm, steps, step, off, random_start):
    x, y = near_corners(8, (3, 4)), torch.tensor([0, 1] * 4)
    net = linear_net(12)
    found = Pgd(steps, step_of_eps=step, norm=norm, random_start=random_start).perturb(net, x, y, EPS[norm], seeded())
    w = (net[1].weight[1] - net[1].weight[0]).detach()
    for label, sign in ((0, 1), (1, -1)):
        best = best_of_a_line(x[y == label].flatten(1), sign * w, norm, EPS[norm])
        got = found[y == label].flatten(1) @ (sign * w)
        clean = x[y == label].flatten(1) @ (sign * w)
        assert ((best - clean) > 0.05).all()
        assert (got <= best + 1e-9).all()
        assert ((best - got) <= off * (best - clean)).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("eps", [0.0, 0.02, 0.5, 2.0])
def test_stays_in_the_ball_and_in_the_pixels_range(norm, eps):
    x, y = batch(dtype=torch.float32)
    found = Pgd(5, step_of_eps=0.7, norm=norm, restarts=2).perturb(conv_net(0), x, y, eps, seeded())
    assert torch.equal(found, x) == (eps == 0)
    assert ((found >= 0) & (found <= 1)).all()
    assert ((found - x).flatten(1).norm(ORDER[norm], dim=1) <= eps + 1e-6).all()
    assert not found.requires_grad
    assert found.dtype == torch.float32


@pytest.mark.parametrize("norm", NORMS)
def test_nothing_reads_a_value_on_the_host(norm):
    """Tensors on the meta device have shapes and no values: whatever asks for one fails."""
    with torch.device("meta"):
        net = build_net("small", (1, 28, 28), 10)
        x, y, eps = torch.rand(4, 1, 28, 28), torch.zeros(4, dtype=torch.long), torch.tensor(0.1)
    found = Pgd(2, step_of_eps=0.1, norm=norm, restarts=2).perturb(net, x, y, eps, seeded())
    assert found.shape == x.shape


def test_the_net_and_its_gradients_are_left_alone():
    """Also those of a graph that is under way, and where the caller computes none."""
    x, y = batch()
    net = conv_net(0, x.dtype)
    loss = cross_entropy(net(x), y).sum()
    loss.backward(retain_graph=True)
    before = [p.grad.clone() for p in net.parameters()]
    asked = []
    hooks = [p.register_hook(lambda g: asked.append(1)) for p in net.parameters()]
    with torch.no_grad():
        moved = Pgd(3, step=0.01, restarts=2).perturb(net, x.requires_grad_(), y, 0.1, seeded())
    assert not torch.equal(moved, x)
    assert not asked
    assert x.grad is None
    for p, gradient, hook in zip(net.parameters(), before, hooks, strict=True):
        hook.remove()
        assert p.requires_grad
        assert torch.equal(p.grad, gradient)
        assert torch.equal(torch.autograd.grad(loss, p, retain_graph=True)[0], gradient)


def test_restarts_are_never_worse_and_sometimes_better():
    """A misclassified input is worse than any loss of one that is right."""
    net = conv_net(0, torch.float64)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)  # so that the loss has several peaks
    x = near_corners(60, (2, 5, 5))
    y = net(x).argmax(1)

    def reached(restarts):
        logits = net(Pgd(2, step=0.05, restarts=restarts).perturb(net, x, y, 0.1, seeded()))
        return list(zip((logits.argmax(1) != y).tolist(), cross_entropy(logits, y).tolist(), strict=True))

    one, two, six = (reached(restarts) for restarts in (1, 2, 6))
    for fewer, more in ((one, two), (two, six)):
        assert all(b >= a for a, b in zip(fewer, more, strict=True))
    assert sum(b > a for a, b in zip(one, six, strict=True)) > 10


def test_a_misclassified_point_is_worse_than_any_loss_of_one_that_is_right():
    y = torch.tensor([0])
    right, wrong = torch.tensor([[1.0, 0.99, 0.99, 0.99]]), torch.tensor([[5.0, 5.01, -9.0, -9.0]])
    assert cross_entropy(right, y) > cross_entropy(wrong, y)
    assert _worse(wrong, right, y, cross_entropy)
    assert not _worse(right, wrong, y, cross_entropy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number ≥ 1, got 0"),
        ({"steps": True}, "steps must be a whole number ≥ 1, got True"),
        ({"restarts": 2.5}, "restarts must be a whole number ≥ 1, got 2.5"),
        ({"step": None}, "give either step .in pixel scale. or step_of_eps"),
        ({"step_of_eps": 0.1}, "give either step .in pixel scale. or step_of_eps"),
        ({"step": -0.1}, "step must be a number > 0, got -0.1"),
        ({"step": "1e-2"}, "step must be a number > 0, got '1e-2'"),
        ({"step": None, "step_of_eps": float("nan")}, "step_of_eps must be a number > 0, got nan"),
        ({"norm": "l3"}, "norm 'l3' is not known: did you mean 'l"),
        ({"restarts": 2, "random_start": False}, "restarts without random_start"),
        ({}, r"a random start needs a torch\.Generator"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(UserError, match=message):
        Pgd(**{"steps": 3, "step": 0.1} | options).perturb(conv_net(0), *batch(dtype=torch.float32), 0.1, None)
