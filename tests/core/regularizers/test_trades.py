"""TRADES against loops over points and classes in float64, with the perturbation held fixed."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import conv_net
from small_images import digits, model

from dmcore.attacks.pgd import Pgd
from dmcore.data import pixels
from dmcore.errors import UserError
from dmcore.nets import as_network
from dmcore.registries import regularizer
from dmcore.regularizers import Batch
from dmcore.regularizers.trades import Trades, divergence
from dmcore.training.batches import Batches
from dmcore.training.step import seeded_net

EPS = 0.1
OPTIONS = {"steps": 8, "step": 0.03}


def lively_net():
    """Weights so large that predictions differ from point to point."""
    net = conv_net(0, torch.float64)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    return net


def batch_of(net, eps=EPS, seed=3):
    x = torch.rand(6, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Batch(as_network(net), x, torch.tensor([0, 1, 2, 3, 0, 1]), eps, torch.Generator().manual_seed(seed))


def perturbed(net, batch, steps=8, step=0.03, seed=3):
    """The inner maximisation written out: from a little noise, along the divergence's sign, back into the box."""
    noise = torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(seed), dtype=batch.x.dtype)
    low, high = (batch.x - EPS).clamp(0, 1), (batch.x + EPS).clamp(0, 1)
    at = (batch.x + 0.001 * noise).clamp(low, high)
    p = net(batch.x).softmax(1).detach()
    for _ in range(steps):
        at = at.detach().requires_grad_()
        F.kl_div(F.log_softmax(net(at), 1), p, reduction="sum").backward()
        at = (at.detach() + step * at.grad.sign()).clamp(low, high)
    net.zero_grad()
    return at


def by_loops(clean, moved):
    """E Σ_k p_k (log p_k − log q_k), p the clean prediction and q that of the perturbed input."""
    total = 0.0
    for z, w in zip(clean.tolist(), moved.tolist(), strict=True):
        p, q = ([math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in (z, w))
        total += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
    return total / len(clean)


def test_value_by_loops():
    net = lively_net()
    batch = batch_of(net)
    got = Trades(**OPTIONS).value(batch)
    moved = net(perturbed(net, batch))
    assert got.item() == pytest.approx(by_loops(net(batch.x), moved), rel=1e-9)
    assert by_loops(moved, net(batch.x)) != pytest.approx(got.item(), rel=1e-3)  # the other order is another number
    torch.testing.assert_close(batch.worst_logits, moved)


def test_gradient_against_finite_differences_both_predictions_moving():
    net = lively_net()
    batch = batch_of(net)
    weight, adversarial = net[2].weight, perturbed(net, batch)
    (gradient,) = torch.autograd.grad(Trades(**OPTIONS).value(batch), weight)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=weight.dtype)
    step, seen = 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            weight += sign * step * direction
            seen.append(by_loops(net(batch.x), net(adversarial)))
            weight -= sign * step * direction
    slope = (gradient * direction).sum().item()
    assert abs(slope) > 1e-2
    assert (seen[0] - seen[1]) / (2 * step) == pytest.approx(slope, rel=1e-4)


def test_larger_than_at_random_points_and_never_negative():
    net = lively_net()
    found = Trades(steps=20, step_of_eps=0.1).value(batch_of(net)).item()
    batch, clean = batch_of(net), net(batch_of(net).x).log_softmax(1)
    for _ in range(30):
        delta = EPS * (2 * torch.rand(batch.x.shape, generator=batch.generator, dtype=torch.float64) - 1).sign()
        other = divergence(net((batch.x + delta).clamp(0, 1)), clean)
        assert (other >= 0).all()
        assert other.mean().item() < found


def test_nothing_to_regularise_at_eps_0():
    assert abs(Trades(**OPTIONS).value(batch_of(lively_net(), eps=0.0)).item()) < 1e-12


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_other_norms_keep_to_their_ball(norm, monkeypatch):
    seen, perturb = [], Pgd.perturb
    monkeypatch.setattr(Pgd, "perturb", lambda self, *a, **k: seen.append(perturb(self, *a, **k)) or seen[-1])
    batch = batch_of(lively_net())
    assert Trades(steps=5, step_of_eps=0.5, norm=norm).value(batch) > 0
    sizes = (seen[0] - batch.x).flatten(1).norm({"l2": 2, "l1": 1}[norm], dim=1)
    torch.testing.assert_close(sizes, torch.full_like(sizes, EPS))


def test_deterministic_given_the_generator():
    net = lively_net()
    values = [Trades(steps=2, step=0.01).value(batch_of(net, seed=s)).item() for s in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_confident_predictions_have_finite_gradients():
    """Probabilities that are 0 in float32 must not become 0 · ∞."""
    logits = torch.tensor([[400.0, 0.0, -400.0]], requires_grad=True)
    clean = torch.tensor([[300.0, -300.0, 0.0]], requires_grad=True)
    value = divergence(logits, clean.log_softmax(1)).sum()
    gradients = torch.autograd.grad(value, [logits, clean])
    assert all(torch.isfinite(g).all() for g in (value, *gradients))


def test_it_needs_a_generator_and_checks_pgds_options():
    batch = batch_of(lively_net())
    batch.generator = None
    with pytest.raises(UserError, match=r"trades draws random numbers: give the batch a torch\.Generator"):
        Trades(**OPTIONS).value(batch)
    with pytest.raises(UserError, match="give either step"):
        regularizer.get("trades")(steps=3)
    regularizer.check("trades", {"steps": 40, "step": 0.01, "norm": "linf"})
    with pytest.raises(UserError, match="norm 'linf2' is not known"):
        regularizer.check("trades", {"norm": "linf2"})


@pytest.mark.slow
def test_training_with_it_resists_attacks():
    data, eps = digits(), 0.1
    x, y = data.test.x[:100].float() / 255, data.test.y[:100]
    right = []
    for weight in (0.0, 3.0):
        net, generator = seeded_net(model()), torch.Generator().manual_seed(0)
        optimizer, term = torch.optim.Adam(net.parameters(), lr=2e-3), Trades(steps=3, step_of_eps=0.5)
        batches = Batches(data.train, 50, seed=0)
        for images, labels in (batches[step] for step in range(80)):
            batch = Batch(net, pixels(images), labels, eps, generator)
            loss = batch.clean_loss + (weight * term.value(batch) if weight else 0.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = Pgd(10, step_of_eps=0.2).perturb(net, x, y, eps, torch.Generator().manual_seed(1))
        right.append((net(found).argmax(1) == y).float().mean().item())
    assert right[0] < 0.5
    assert right[1] > 0.6
