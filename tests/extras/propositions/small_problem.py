"""Two small problems at strict minima of their base losses, in float64 and dense: a linear net and a ReLU net."""

from functools import cache

import torch
import torch.nn.functional as F
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from dmcore.extras.propositions.problem import Problem
from dmcore.nets import Network
from dmcore.nets.layers import Conv, Flatten, Linear, Normalize, ReLU

DAMPING = 0.1
LAYERS = {
    "linear": lambda: (Normalize([0.5], [0.25]), Flatten(), Linear(16, 3)),
    "relu": lambda: (Normalize([0.5], [0.25]), Conv(1, 2, (2, 2)), ReLU(), Flatten(), Linear(18, 3)),
}


def problem(kind="relu", points=12, seed=24):
    """Noisy images of three classes."""
    torch.manual_seed(seed)
    net = Network()
    for layer in LAYERS[kind]():
        net.add(layer)
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(points) % 3
    centers = torch.rand(3, 1, 4, 4, generator=generator, dtype=torch.float64)
    noise = torch.rand(points, 1, 4, 4, generator=generator, dtype=torch.float64)
    return Problem(net.double(), 0.4 * centers[y] + 0.4 * noise + 0.1, y, points_at_once=7)


def theta_of(at):
    return parameters_to_vector(at.net.parameters()).detach().clone()


def logits_of(at):
    """θ (P,) to z (N, K), with torch alone."""
    names, shapes = zip(*((name, p.shape) for name, p in at.net.named_parameters()), strict=True)

    def logits(theta):
        pieces = theta.split([s.numel() for s in shapes])
        weights = {n: piece.view(s) for n, piece, s in zip(names, pieces, shapes, strict=True)}
        return torch.func.functional_call(at.net, weights, (at.x,))

    return logits


def hessian_of(at):
    """∇²L (P, P)."""
    logits = logits_of(at)
    return torch.autograd.functional.hessian(lambda theta: F.cross_entropy(logits(theta), at.y), theta_of(at))


def damped(at):
    """∇²L + γI, the curvature of both base losses."""
    return hessian_of(at) + DAMPING * torch.eye(len(theta_of(at)), dtype=torch.float64)


def put(at, theta):
    vector_to_parameters(theta.clone(), at.net.parameters())


class Base:
    """L + ½γ‖θ − center‖² − tilt·θ."""

    def __init__(self, at, center, tilt):
        self.at, self.center, self.tilt = at, center, tilt

    def __call__(self):
        """(value, gradient) at the net's present weights."""
        value, gradient = self.at.gradient(lambda batch: batch.clean_loss)
        theta = theta_of(self.at)
        moved = theta - self.center
        value += (0.5 * DAMPING * moved @ moved - self.tilt @ theta).item()
        return value, gradient + DAMPING * moved - self.tilt


@cache
def at_minimum(kind):
    """(problem, base): the net's weights are at a strict minimum of the base loss.

    The linear net is trained by Newton's method to the minimum of L + ½γ‖θ‖². Minima of ReLU nets on few points mostly
    have ReLUs just at 0, where no derivative exists. So the ReLU net is trained for a while, and its base loss
    is tilted to be flat there: L + ½γ‖θ − θ̂‖² − ∇L(θ̂)·θ. This has the curvature H + γI at θ̂, too.
    """
    at = problem(kind)
    zero = torch.zeros_like(theta_of(at))
    if kind == "linear":
        base = Base(at, zero, zero)
        for _ in range(10):
            put(at, theta_of(at) - torch.linalg.solve(damped(at), base()[1]))
        return at, base
    for _ in range(30):
        put(at, theta_of(at) - 0.3 * at.gradient(lambda batch: batch.clean_loss)[1])
    return at, Base(at, theta_of(at), at.gradient(lambda batch: batch.clean_loss)[1])
