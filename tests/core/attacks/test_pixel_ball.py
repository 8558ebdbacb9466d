"""The sets that attacks move in, by what their points are known for and by sampling."""

import pytest
import torch
from linear_nets import ORDER, near_corners

from dmcore.attacks.pixel_ball import PIXEL_BALLS

SIZES = {"linf": [0.0, 0.2, 0.7], "l2": [0.0, 0.3, 0.8, 1.2], "l1": [0.0, 0.4, 1.0, 2.0]}
CASES = [(norm, eps) for norm, sizes in SIZES.items() for eps in sizes]


@pytest.mark.parametrize(("norm", "eps"), CASES)
def test_no_point_of_a_fine_grid_is_nearer(norm, eps):
    x = near_corners(12, (3,))
    at = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    got = PIXEL_BALLS[norm](x, eps).project(at)
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 81, dtype=x.dtype)] * 3)
    for i in range(len(x)):
        others = grid[(grid - x[i]).norm(ORDER[norm], dim=1) <= eps]
        assert ((others - at[i]).norm(dim=1) >= (got[i] - at[i]).norm() - 1e-9).all()


@pytest.mark.parametrize(("norm", "eps"), CASES)
def test_no_point_of_the_set_is_nearer_in_many_dimensions(norm, eps):
    """⟨at − P, q − P⟩ ≤ 0 for all q of the set, which only the projection fulfils."""
    x = near_corners(5, (2, 7, 7))
    generator = torch.Generator().manual_seed(1)
    at = x + 0.5 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    ball = PIXEL_BALLS[norm](x, eps)
    got = ball.project(at)
    others = [ball.draw(generator) for _ in range(200)]
    # Points near the projection, too: they are the ones that a wrong one loses to.
    others += [ball.project(got + 0.05 * torch.randn(x.shape, generator=generator, dtype=x.dtype)) for _ in range(200)]
    for q in others:
        assert (((at - got) * (q - got)).flatten(1).sum(1) <= 1e-9).all()


@pytest.mark.parametrize(("norm", "eps"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_and_projections_are_in_the_ball_and_in_the_pixels_range(norm, eps, dtype):
    x = near_corners(20, (1, 10, 10), dtype=dtype)
    ball = PIXEL_BALLS[norm](x, eps)
    generator = torch.Generator().manual_seed(1)
    drawn = ball.draw(generator)
    wide = torch.rand(x.shape, generator=generator, dtype=dtype) * 4 - 2
    for q in (drawn, ball.project(wide), ball.project(drawn)):
        assert q.dtype == dtype
        assert ((q >= 0) & (q <= 1)).all()
        assert ((q - x).flatten(1).norm(ORDER[norm], dim=1) <= eps + 1e-6).all()
    torch.testing.assert_close(ball.project(drawn), drawn)


@pytest.mark.parametrize("norm", sorted(ORDER))
def test_the_smallest_and_the_largest_ball(norm):
    x = near_corners(6, (3, 4))
    far = x + 3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    assert torch.equal(PIXEL_BALLS[norm](x, 0.0).project(far), x)
    torch.testing.assert_close(PIXEL_BALLS[norm](x, 100.0).project(far), far.clamp(0, 1))
    assert torch.equal(PIXEL_BALLS[norm](x, 0.3).project(x), x)


@pytest.mark.parametrize(("norm", "eps"), [("linf", 1.0), ("l2", 2.0), ("l1", 4.0)])
def test_a_ball_that_just_reaches_the_far_corner(norm, eps):
    black = torch.zeros(1, 4)
    assert torch.equal(PIXEL_BALLS[norm](black, eps).project(black + 2), torch.ones(1, 4))


@pytest.mark.parametrize("norm", sorted(ORDER))
def test_draws_are_uniform_in_the_ball(norm):
    """The share of draws within r of the centre is (r/ε)ⁿ, and every sign pattern is as frequent as any other."""
    n, eps = 3, 0.2
    x = torch.full((40_000, n), 0.5, dtype=torch.float64)
    delta = PIXEL_BALLS[norm](x, eps).draw(torch.Generator().manual_seed(0)) - x
    sizes = delta.norm(ORDER[norm], dim=1)
    for r in (0.5, 0.8):
        assert (sizes <= r * eps).double().mean().item() == pytest.approx(r**n, abs=0.01)
    assert sizes.max() > 0.99 * eps
    patterns = ((delta > 0) * torch.tensor([4, 2, 1])).sum(1).bincount(minlength=8)
    assert patterns.min() > 0.9 * 5000
    half = delta / (2 * eps)
    assert half.mean(0).abs().max() < 0.01


@pytest.mark.parametrize("norm", sorted(ORDER))
def test_direction_is_steepest_among_steps_of_its_norm(norm):
    x = torch.full((4, 6), 0.5, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    step = PIXEL_BALLS[norm](x, 0.3).direction(gradient, x)
    torch.testing.assert_close(step.norm(ORDER[norm], dim=1), torch.ones(4, dtype=x.dtype))
    for _ in range(200):
        other = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        other = other / other.norm(ORDER[norm], dim=1, keepdim=True)
        assert ((gradient * other).sum(1) <= (gradient * step).sum(1) + 1e-12).all()
    assert torch.equal(PIXEL_BALLS[norm](x, 0.3).direction(torch.zeros_like(x), x), torch.zeros_like(x))


def test_l2_direction_of_a_vanishing_gradient_has_norm_1():
    gradient = torch.tensor([[3e-30, -4e-30]])  # the squares are 0 in float32
    x = torch.full((1, 2), 0.5)
    torch.testing.assert_close(PIXEL_BALLS["l2"](x, 0.1).direction(gradient, x), torch.tensor([[0.6, -0.8]]))


def test_l1_direction_leaves_pixels_alone_that_are_at_their_end():
    at = torch.tensor([[1.0, 0.0, 0.4, 0.5]])
    gradient = torch.tensor([[5.0, -4.0, -2.0, 1.0]])
    step = PIXEL_BALLS["l1"](at, 1.0).direction(gradient, at)
    assert step.tolist() == [[0.0, 0.0, -1.0, 0.0]]
    assert PIXEL_BALLS["l1"](at, 1.0).direction(-gradient, at).tolist() == [[-1.0, 0.0, 0.0, 0.0]]
