"""PGD against brute force on linear nets, by hand, and against what an attack must never do."""

import math

import pytest
import torch
from conftest import conv_net
from points import ORDER, near_corners
from small_images import digits, model
from torch import nn

from dmcore.attacks import cross_entropy
from dmcore.attacks.pgd import Pgd, _worse
from dmcore.attacks.pixel_ball import PIXEL_BALLS
from dmcore.errors import UserError
from dmcore.nets import build_net
from dmcore.registries import attack
from dmcore.training.loop import train

EPS = {"linf": 0.1, "l2": 0.4, "l1": 1.5}
NORMS = sorted(EPS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=6, dtype=torch.float64):
    return near_corners(count, (2, 5, 5), dtype=dtype), torch.arange(count) % 4


def linear_net(size, classes=2, dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(size, classes)).to(dtype)


def best_of_a_line(x, w, norm, eps):
    """max w·x' over the ball and [0, 1]ⁿ, a number for each point, by other ways than PGD's."""
    room = torch.where(w > 0, 1 - x, x)  # how far each pixel may go the way that pays
    if norm == "linf":
        gain = (w.abs() * room.clamp(max=eps)).sum(1)
    elif norm == "l2":  # δ = min(t|w|, room), t as large as the ball allows
        low, high = torch.zeros(len(x), 1, dtype=x.dtype), torch.full((len(x), 1), 1e6, dtype=x.dtype)
        for _ in range(200):
            t = (low + high) / 2
            inside = torch.minimum(t * w.abs(), room).norm(dim=1, keepdim=True) <= eps
            low, high = torch.where(inside, t, low), torch.where(inside, high, t)
        gain = (w.abs() * torch.minimum(low * w.abs(), room)).sum(1)
    else:  # the dearest pixels first, until the budget is spent
        gain = torch.zeros(len(x), dtype=x.dtype)
        for i in range(len(x)):
            left = eps
            for j in w.abs().argsort(descending=True):
                spent = min(left, room[i, j].item())
                gain[i] += w[j].abs() * spent
                left -= spent
    return x @ w + gain


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
    assert ((found >= 0) & (found <= 1)).all()
    assert ((found - x).flatten(1).norm(ORDER[norm], dim=1) <= eps + 1e-6).all()
    assert not found.requires_grad
    assert found.dtype == torch.float32


@pytest.mark.parametrize("norm", NORMS)
def test_eps_0_gives_x_back(norm):
    x, y = batch()
    for options in ({"step": 0.01}, {"step_of_eps": 0.25}):
        for eps in (0.0, torch.tensor(0.0)):
            assert torch.equal(Pgd(3, norm=norm, **options).perturb(conv_net(0, x.dtype), x, y, eps, seeded()), x)


@pytest.mark.parametrize("norm", NORMS)
def test_deterministic_given_the_generator_and_deaf_to_the_global_one(norm):
    x, y = batch()
    net, pgd = conv_net(0, x.dtype), Pgd(3, step_of_eps=0.3, norm=norm, restarts=2)
    found = []
    for global_seed, seed in ((0, 5), (1, 5), (0, 6)):
        torch.manual_seed(global_seed)
        state = torch.get_rng_state()
        found.append(pgd.perturb(net, x, y, EPS[norm], seeded(seed)))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("norm", NORMS)
def test_eps_as_a_tensor_is_the_same(norm):
    x, y = batch()
    net, pgd = conv_net(0, x.dtype), Pgd(3, step_of_eps=0.3, norm=norm)
    as_number = pgd.perturb(net, x, y, EPS[norm], seeded())
    as_tensor = pgd.perturb(net, x, y, torch.tensor(EPS[norm], dtype=x.dtype), seeded())
    torch.testing.assert_close(as_number, as_tensor, atol=1e-12, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_nothing_reads_a_value_on_the_host(norm):
    """Tensors on the meta device have shapes and no values: whatever asks for one fails."""
    with torch.device("meta"):
        net = build_net("small", (1, 28, 28), 10)
        x, y, eps = torch.rand(4, 1, 28, 28), torch.zeros(4, dtype=torch.long), torch.tensor(0.1)
    found = Pgd(2, step_of_eps=0.1, norm=norm, restarts=2).perturb(net, x, y, eps, seeded())
    assert found.shape == x.shape


def test_the_gradients_of_the_net_are_neither_touched_nor_computed():
    x, y = batch()
    net = conv_net(0, x.dtype)
    cross_entropy(net(x), y).sum().backward()
    before = [p.grad.clone() for p in net.parameters()]
    asked = []
    for p in net.parameters():
        p.register_hook(lambda g: asked.append(1))
    Pgd(3, step=0.01, restarts=2).perturb(net, x.requires_grad_(), y, 0.1, seeded())
    assert not asked
    assert x.grad is None
    assert all(p.requires_grad for p in net.parameters())
    for p, gradient in zip(net.parameters(), before, strict=True):
        assert torch.equal(p.grad, gradient)


def test_a_graph_of_the_same_net_can_be_differentiated_after_an_attack():
    x, y = batch()
    net = conv_net(0, x.dtype)
    loss = cross_entropy(net(x), y).sum()
    expected = torch.autograd.grad(loss, net[0].weight, retain_graph=True)[0]
    with torch.no_grad():  # as in an evaluation; the attack needs its gradients all the same
        moved = Pgd(3, step=0.01).perturb(net, x, y, 0.1, seeded())
    assert not torch.equal(moved, x)
    assert torch.equal(torch.autograd.grad(loss, net[0].weight)[0], expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_one_step_by_hand(norm):
    """CE's gradient in the input is Wᵀ(softmax − one-hot): one step along it, then back."""
    x, y = near_corners(4, (3,)), torch.tensor([0, 1, 2, 0])
    net = linear_net(3, classes=3)
    w, b = net[1].weight.tolist(), net[1].bias.tolist()
    eps, step = 0.3, 0.25
    found = Pgd(1, step=step, norm=norm, random_start=False).perturb(net, x, y, eps, seeded())
    for i in range(4):
        z = [sum(w[k][j] * x[i, j].item() for j in range(3)) + b[k] for k in range(3)]
        total = sum(math.exp(v) for v in z)
        error = [math.exp(z[k]) / total - (k == y[i].item()) for k in range(3)]
        gradient = [sum(w[k][j] * error[k] for k in range(3)) for j in range(3)]
        length = math.sqrt(sum(g * g for g in gradient))
        for j in range(3):
            move = step * (math.copysign(1, gradient[j]) if norm == "linf" else gradient[j] / length)  # within ε
            assert found[i, j].item() == pytest.approx(min(max(x[i, j].item() + move, 0), 1), abs=1e-12)


def test_step_of_eps_is_a_multiple_of_eps():
    x, y = batch()
    net = conv_net(0, x.dtype)
    one = Pgd(3, step_of_eps=0.25).perturb(net, x, y, 0.08, seeded())
    torch.testing.assert_close(one, Pgd(3, step=0.02).perturb(net, x, y, 0.08, seeded()))


def test_more_steps_find_more_loss():
    x, y = batch()
    net = conv_net(0, x.dtype)
    x = x * 0.5 + 0.25
    losses = [
        cross_entropy(net(Pgd(steps, step=0.01, random_start=False).perturb(net, x, y, 0.1, seeded())), y)
        for steps in (1, 3, 10)
    ]
    clean = cross_entropy(net(x), y)
    for low, high in zip([clean, *losses], losses, strict=False):
        assert (high > low).all()


def test_restarts_are_never_worse_and_sometimes_better():
    net = conv_net(0, torch.float64)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)  # so that the loss has several peaks
    x = near_corners(60, (2, 5, 5))
    y = net(x).argmax(1)
    tries = {r: Pgd(2, step=0.05, restarts=r).perturb(net, x, y, 0.1, seeded()) for r in (1, 2, 6)}
    logits = {r: net(found) for r, found in tries.items()}
    gained = 0
    for fewer, more in ((1, 2), (2, 6), (1, 6)):
        assert not _worse(logits[fewer], logits[more], y, cross_entropy).any()
        gained += _worse(logits[more], logits[fewer], y, cross_entropy).sum()
    assert gained > 10


def test_a_misclassified_point_is_worse_than_any_loss_of_one_that_is_right():
    y = torch.tensor([0])
    right = torch.tensor([[1.0, 0.99, 0.99, 0.99]])  # loss 1.38
    barely_wrong = torch.tensor([[5.0, 5.01, -9.0, -9.0]])  # loss 0.70
    clearly_wrong = torch.tensor([[0.0, 5.0, 0.0, 0.0]])
    assert cross_entropy(right, y) > cross_entropy(barely_wrong, y)
    order = [right, barely_wrong, clearly_wrong]
    for i, one in enumerate(order):
        for j, other in enumerate(order):
            assert _worse(one, other, y, cross_entropy).item() == (i > j)


def test_a_loss_of_ones_own():
    """The largest first logit, a target that is no label."""
    x, _ = batch()
    net = conv_net(0, x.dtype)
    weights = torch.tensor([1.0, 0, 0, 0], dtype=x.dtype).expand(len(x), 4)
    found = Pgd(10, step=0.02).perturb(net, x, weights, 0.1, seeded(), loss=lambda z, t: (z * t).sum(1))
    assert (net(found)[:, 0] > net(x)[:, 0]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0, "step": 0.1}, "steps must be a whole number ≥ 1, got 0"),
        ({"steps": -3, "step": 0.1}, "steps must be a whole number ≥ 1, got -3"),
        ({"steps": 2.5, "step": 0.1}, "steps must be a whole number ≥ 1, got 2.5"),
        ({"steps": True, "step": 0.1}, "steps must be a whole number ≥ 1, got True"),
        ({"steps": 3, "step": 0.1, "restarts": 0}, "restarts must be a whole number ≥ 1, got 0"),
        ({"steps": 3}, "give either step .in pixel scale. or step_of_eps"),
        ({"steps": 3, "step": 0.1, "step_of_eps": 0.1}, "give either step .in pixel scale. or step_of_eps"),
        ({"steps": 3, "step": -0.1}, "step must be a number > 0, got -0.1"),
        ({"steps": 3, "step": "1e-2"}, "step must be a number > 0, got '1e-2'"),
        ({"steps": 3, "step_of_eps": float("nan")}, "step_of_eps must be a number > 0, got nan"),
        ({"steps": 3, "step_of_eps": float("inf")}, "step_of_eps must be a number > 0, got inf"),
        ({"steps": 3, "step": 0.1, "norm": "l3"}, "norm 'l3' is not known: did you mean 'l"),
        ({"steps": 3, "step": 0.1, "restarts": 2, "random_start": False}, "restarts without random_start"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(UserError, match=message) as error:
        Pgd(**options)
    assert "\n" not in str(error.value)


def test_a_random_start_needs_a_generator():
    x, y = batch()
    with pytest.raises(UserError, match=r"a random start needs a torch\.Generator"):
        Pgd(3, step=0.1).perturb(conv_net(0, x.dtype), x, y, 0.1, None)


def test_options_are_checked_from_the_source():
    assert attack.names() == ["pgd"]
    attack.check("pgd", {"steps": 40, "step": 0.01, "random_start": False})
    with pytest.raises(UserError, match="norm 'linff' is not known: did you mean 'linf'"):
        attack.check("pgd", {"norm": "linff"})
    with pytest.raises(UserError, match="has no option 'epsilon'"):
        attack.check("pgd", {"epsilon": 0.1})


@pytest.fixture(scope="module")
def plainly_trained():
    return train(model(steps=120, warmup=0, ramp=0), digits(), torch.device("cpu")).net


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 2.0), ("l1", 20.0)])
def test_a_normally_trained_net_is_fooled(norm, eps, plainly_trained):
    data = digits().test
    x, y = data.x[:100].float() / 255, data.y[:100]
    found = Pgd(15, step_of_eps=0.1, norm=norm).perturb(plainly_trained, x, y, eps, seeded())
    noise = PIXEL_BALLS[norm](x, eps).draw(seeded())
    right = [(plainly_trained(p).argmax(1) == y).float().mean().item() for p in (x, noise, found)]
    assert right[0] > 0.8
    assert right[1] > 0.7  # noise of that size does not fool it
    assert right[2] < 0.5 * right[0]
