"""The ball of inputs as columns and rows of a program, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.errors import UserError
from dmcore.extras.exact.program import Program, Vector
from dmcore.perturbation import Ball


class InputColumns:
    """The inputs of one point's ball: ``x_i + scale_i · e_i`` with a column e_i in [−1, 1] each.

    Under ℓ1 a column t_i ≥ |e_i| more for each input, and ``Σ scale_i t_i ≤ ε``; under ℓ0 a binary that says whether
    the input changes, and at most ε of them.

    Attributes:
        columns: those of e.
        scale: how far each input can move at most, of x's shape (1, *in_shape).
    """

    def __init__(self, program: Program, ball: Ball) -> None:
        check_ball(ball)
        self.ball = ball
        self.lower, self.upper = ball.center - ball.radius, ball.center + ball.radius
        fall, rise = ball.x - self.lower, self.upper - ball.x
        self.scale = torch.maximum(fall, rise)
        unit = self.scale.where(self.scale > 0, 1.0)
        down, up = as_vector(fall / unit), as_vector(rise / unit)
        self.columns = program.add_columns(-down, up)
        if ball.norm == "l1" and ball.eps > 0:
            moved = program.add_columns(0 * up, as_vector(self.scale.sign()))
            for sign in (1.0, -1.0):
                program.add_rows(0.0, torch.inf, (moved, 1 + 0 * up), (self.columns, sign + 0 * up))
            share = as_vector(self.scale / ball.eps)
            program.add_rows(-torch.inf, 1.0, (moved, share[None]))
        elif ball.norm == "l0":
            changed = program.add_binaries(len(up))
            program.add_rows(-torch.inf, 0.0, (self.columns, 1 + 0 * up), (changed, -up))
            program.add_rows(-torch.inf, 0.0, (self.columns, -1 + 0 * up), (changed, -down))
            program.choose(changed, 0, int(ball.eps))

    def input(self, point: Vector) -> Tensor:
        """The input (1, *in_shape) that a point of the program stands for, put back into the ball where it left it."""
        ball = self.ball
        e = torch.from_numpy(point[self.columns]).to(self.scale).reshape(self.scale.shape)
        moved = (ball.x + self.scale * e).clamp(self.lower, self.upper) - ball.x
        if ball.norm == "l1":
            moved = moved * (ball.eps / moved.abs().sum().clamp(min=ball.eps)) if ball.eps > 0 else 0 * moved
        elif ball.norm == "l0":
            flat = moved.flatten()
            most = flat.abs().topk(min(int(ball.eps), len(flat))).indices
            moved = torch.zeros_like(flat).index_copy(0, most, flat[most]).reshape(moved.shape)
        return ball.x + moved


def as_vector(t: Tensor) -> Vector:
    """All values of a tensor."""
    return t.flatten().cpu().numpy()


def check_ball(ball: Ball) -> None:
    """Refuses the norm ℓ2, whose ball is not a polyhedron."""
    if ball.norm == "l2":
        raise UserError("the certifier milp knows no norm l2, whose ball is not a polyhedron: use linf, l1 or l0")
