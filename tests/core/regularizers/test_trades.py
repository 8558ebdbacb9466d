"""TRADES against loops over points and classes in float64, with the perturbation held fixed."""

import math

import pytest
import torch
import torch.nn.functional as F
from batches import batch_of

from dmcore.attacks.pgd import Pgd
from dmcore.regularizers.trades import Trades, divergence

EPS = 0.1


def lively_batch():
    """Weights so large that predictions differ from point to point."""
    batch = batch_of(eps=EPS)
    with torch.no_grad():
        for p in batch.net.parameters():
            p.mul_(3)
    return batch


def perturbed(batch, steps, step):
    """The inner maximisation written out: from a little noise, along the divergence's sign, back into the box."""
    noise = torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(0), dtype=batch.x.dtype)
    low, high = (batch.x - EPS).clamp(0, 1), (batch.x + EPS).clamp(0, 1)
    at = (batch.x + 0.001 * noise).clamp(low, high)
    p = batch.net(batch.x).softmax(1).detach()
    for _ in range(steps):
        at = at.detach().requires_grad_()
        (slope,) = torch.autograd.grad(F.kl_div(F.log_softmax(batch.net(at), 1), p, reduction="sum"), at)
        at = (at.detach() + step * slope.sign()).clamp(low, high)
    return at


def by_loops(clean, moved):
    """E Σ_k p_k (log p_k − log q_k), p the clean prediction and q that of the perturbed input."""
    total = 0.0
    for z, w in zip(clean.tolist(), moved.tolist(), strict=True):
        p, q = ([math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in (z, w))
        total += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
    return total / len(clean)


def test_value_by_loops():
    batch = lively_batch()
    got = Trades(steps=8, step=0.03).value(batch)
    clean, moved = batch.net(batch.x), batch.net(perturbed(batch, steps=8, step=0.03))
    assert got.item() == pytest.approx(by_loops(clean, moved), rel=1e-9)
    assert by_loops(moved, clean) != pytest.approx(got.item(), rel=1e-3)  # the other order is another number
    torch.testing.assert_close(batch.worst_logits, moved)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_other_norms_keep_to_their_ball(norm, monkeypatch):
    seen, perturb = [], Pgd.perturb
    monkeypatch.setattr(Pgd, "perturb", lambda self, *a, **k: seen.append(perturb(self, *a, **k)) or seen[-1])
    batch = lively_batch()
    assert Trades(steps=5, step_of_eps=0.5, norm=norm).value(batch) > 0
    sizes = (seen[0] - batch.x).flatten(1).norm({"l2": 2, "l1": 1}[norm], dim=1)
    torch.testing.assert_close(sizes, torch.full_like(sizes, EPS))


def test_confident_predictions_have_finite_gradients():
    """Probabilities that are 0 in float32 must not become 0 · ∞."""
    logits = torch.tensor([[400.0, 0.0, -400.0]], requires_grad=True)
    clean = torch.tensor([[300.0, -300.0, 0.0]], requires_grad=True)
    value = divergence(logits, clean.log_softmax(1)).sum()
    gradients = torch.autograd.grad(value, [logits, clean])
    assert all(torch.isfinite(g).all() for g in (value, *gradients))
