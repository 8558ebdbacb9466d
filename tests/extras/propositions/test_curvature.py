"""Products with the curvature against dense matrices of torch.autograd.functional."""

import pytest
import torch
import torch.nn.functional as F
from small_problem import hessian_of, logits_of, problem, theta_of

from dmcore.extras.propositions.problem import CURVATURES, Problem, gauss_newton, hessian
from dmcore.nets import as_network


def vector(size, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gauss_newton_of(at):
    """Jᵀ S J, by loops over points."""
    logits, theta = logits_of(at), theta_of(at)
    jacobian = torch.autograd.functional.jacobian(logits, theta)
    total = torch.zeros(len(theta), len(theta), dtype=torch.float64)
    for rows, z in zip(jacobian, logits(theta), strict=True):
        p = z.softmax(0)
        total += rows.T @ (p.diag() - p.outer(p)) @ rows
    return total / len(at.y)


DENSE = {"hessian": hessian_of, "gauss_newton": gauss_newton_of}


@pytest.mark.parametrize("kind", sorted(CURVATURES))
def test_products_on_every_kind_of_net(any_net, kind):
    net = as_network(any_net.make(0, torch.float64))
    x = torch.rand(5, *any_net.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    at = Problem(net, x, torch.tensor([0, 1, 2, 0, 1]), points_at_once=2)
    dense = DENSE[kind](at)
    for seed in range(3):
        v = vector(len(dense), seed)
        torch.testing.assert_close(at.multiply(CURVATURES[kind], v), dense @ v)


def test_both_are_one_where_the_logits_are_linear_and_differ_elsewhere():
    linear, relu = problem("linear"), problem("relu")
    torch.testing.assert_close(gauss_newton_of(linear), hessian_of(linear))
    v = vector(len(theta_of(linear)))
    torch.testing.assert_close(linear.multiply(gauss_newton, v), linear.multiply(hessian, v))
    assert torch.linalg.eigvalsh(hessian_of(relu)).min() < -1e-3
    assert torch.linalg.eigvalsh(gauss_newton_of(relu)).min() > -1e-14


def test_the_gradient_of_a_term_is_that_of_all_points_at_once():
    at = problem()
    value, gradient = at.gradient(lambda batch: batch.clean_loss)
    logits, theta = logits_of(at), theta_of(at).requires_grad_()
    loss = F.cross_entropy(logits(theta), at.y)
    assert value == pytest.approx(loss.item(), rel=1e-13)
    torch.testing.assert_close(gradient, torch.autograd.grad(loss, theta)[0])
