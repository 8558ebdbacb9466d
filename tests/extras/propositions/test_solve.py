"""Conjugate gradients against dense solves."""

import pytest
import torch

from dmcore.errors import UserError
from dmcore.extras.propositions.ranking import conjugate_gradients, inner_products


def matrix(size=30, rank=12, seed=0):
    """A singular positive semi-definite H."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(size, rank, generator=generator, dtype=torch.float64)
    return a @ a.T / rank, torch.randn(size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("damping", [1e-2, 1.0])
def test_the_solution_is_the_dense_one(damping):
    h, b = matrix()
    got = conjugate_gradients(lambda v: h @ v, b, damping, tolerance=1e-12)
    exact = torch.linalg.solve(h + damping * torch.eye(30, dtype=torch.float64), b)
    torch.testing.assert_close(got.x, exact, rtol=1e-8, atol=1e-10)
    assert got.steps <= 20  # 12 curved directions and one flat one; rounding takes a few more
    assert got.relative_residual < 1e-11


def test_it_stops_at_the_tolerance_or_after_the_steps_and_tells_the_true_residual():
    h, b = matrix()
    loose = conjugate_gradients(lambda v: h @ v, b, 0.1, tolerance=0.05)
    short = conjugate_gradients(lambda v: h @ v, b, 0.1, tolerance=0.05, max_steps=loose.steps - 1)
    assert short.steps == loose.steps - 1
    assert loose.relative_residual < 0.05 < short.relative_residual
    for got in (loose, short):
        torch.testing.assert_close(got.residual, b - h @ got.x - 0.1 * got.x)


def test_damping_alone_takes_one_step_and_nothing_takes_none():
    b = torch.tensor([3.0, -4.0], dtype=torch.float64)
    got = conjugate_gradients(torch.zeros_like, b, 0.5)
    assert got.x.tolist() == [6.0, -8.0]
    assert got.steps == 1
    nothing = conjugate_gradients(torch.zeros_like, 0 * b, 0.5)
    assert (nothing.x.tolist(), nothing.steps, nothing.relative_residual) == ([0.0, 0.0], 0, 0.0)


def test_negative_curvature_is_one_line_with_its_size():
    diagonal = torch.tensor([2.0, -0.5, 1.0], dtype=torch.float64)
    b = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    with pytest.raises(
        UserError, match=r"curvature -0\.5 along a direction met in step 1.*0\.1.*well above 0\.5$"
    ) as e:
        conjugate_gradients(lambda v: diagonal * v, b, 0.1)
    assert "\n" not in str(e.value)
    got = conjugate_gradients(lambda v: diagonal * v, b + 1, 0.6, tolerance=1e-12)
    torch.testing.assert_close(got.x, (b + 1) / (diagonal + 0.6))


def test_inner_products_err_in_the_second_order_only():
    h, b = matrix()
    other = matrix(seed=1)[1] + b
    a = h + 0.1 * torch.eye(30, dtype=torch.float64)
    solved = [conjugate_gradients(lambda v: h @ v, r, 0.1, tolerance=0.05) for r in (b, other)]
    errors = [torch.linalg.solve(a, s.b) - s.x for s in solved]
    table = inner_products(solved)
    for i, one in enumerate(solved):
        for j, two in enumerate(solved):
            exact = (one.b @ torch.linalg.solve(a, two.b)).item()
            assert exact - table[i][j] == pytest.approx((errors[i] @ a @ errors[j]).item(), abs=1e-10)
            assert abs(exact - table[i][j]) < 0.01 * abs(exact)
    assert table[0][1] == pytest.approx(table[1][0], rel=1e-12)
