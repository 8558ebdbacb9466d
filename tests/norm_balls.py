"""Points of a ball in each norm, for trying out what bounds must hold for; from the definitions alone."""

import itertools
import math

import torch

RADII = {"linf": 0.1, "l2": 0.4, "l1": 0.8, "l0": 2}
"""A radius for each norm at which the test nets have stable and unstable neurons."""


def points(in_shape, count, seed=0, dtype=torch.float64):
    """Random pixels, some of them exactly 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, *in_shape, generator=generator, dtype=torch.float64) * 1.4 - 0.2).clamp(0, 1).to(dtype)


def margins_at(net, x, y):
    """z_y − z_j of each point, (B, K)."""
    z = net(x)
    return z.gather(1, y[:, None]) - z


def length(delta, norm):
    """‖δ‖ of each row."""
    flat = delta.flatten(1)
    if norm == "l0":
        return (flat != 0).sum(1)
    return {"linf": flat.abs().amax(1), "l1": flat.abs().sum(1), "l2": flat.square().sum(1).sqrt()}[norm]


def farthest(slope, x, eps, norm):
    """δ for one x and each linear form in ``slope`` (x flat; a form a row): where over the ball the form is largest."""
    if norm == "linf":
        return eps * slope.sign()
    if norm == "l2":
        steepness = slope.norm(dim=-1, keepdim=True)
        return eps * slope / steepness.where(steepness > 0, 1)
    if norm == "l1":
        first = slope.abs().argmax(-1, keepdim=True)
        return torch.zeros_like(slope).scatter(-1, first, eps * slope.gather(-1, first).sign())
    gains = torch.maximum(slope * (1 - x), -slope * x)
    first = gains.topk(min(int(eps), len(x)), dim=-1).indices
    change = torch.where(slope > 0, 1 - x, -x)
    return torch.zeros_like(slope).scatter(-1, first, change.gather(-1, first))


def random_points(x, eps, norm, count, seed):
    """Points of the ball around one x, many of them at its border."""
    generator = torch.Generator().manual_seed(seed)
    flat = x.flatten()
    noise = torch.randn(count, len(flat), generator=generator, dtype=x.dtype)
    if norm == "l0":
        order = torch.rand(count, len(flat), generator=generator).argsort(1)[:, : int(eps)]
        values = torch.rand(count, int(eps), generator=generator, dtype=x.dtype)
        values[::2] = values[::2].round()
        return flat.expand(count, -1).scatter(1, order, values).reshape(-1, *x.shape)
    if norm == "l1":  # mostly few inputs that move much
        noise = noise.pow(5)
    scale = torch.rand(count, 1, generator=generator, dtype=x.dtype).clamp(min=0.5).mul(2).clamp(max=1)
    delta = noise / length(noise, norm)[:, None] * eps * scale
    return (flat + delta).reshape(-1, *x.shape)


def extreme_points(x, eps, norm, count, seed):
    """Points of the ball around one x that are no mixture of others: all of them if there are no more than ``count``.

    Else, and always on the sphere of ℓ2, so many at random.
    """
    flat, generator = x.flatten(), torch.Generator().manual_seed(seed)
    size = len(flat)
    if norm == "l0":
        k = min(int(eps), size)
        if math.comb(size, k) * 2**k <= count:
            return torch.stack(list(all_changes(x, k)))
        places = torch.rand(count, size, generator=generator).argsort(1)[:, :k]
        values = torch.randint(2, (count, k), generator=generator).to(x)
        return flat.expand(count, -1).scatter(1, places, values).reshape(-1, *x.shape)
    if norm == "l2":
        delta = torch.randn(count, size, generator=generator, dtype=x.dtype)
        delta /= delta.norm(dim=1, keepdim=True)
    elif norm == "l1":
        delta = torch.cat([torch.eye(size), -torch.eye(size)]).to(x)
        delta = delta[torch.randperm(2 * size, generator=generator)[:count]]
    elif 2**size <= count:
        delta = 2 * (torch.arange(2**size)[:, None] >> torch.arange(size) & 1).to(x) - 1
    else:
        delta = 2 * torch.randint(2, (count, size), generator=generator).to(x) - 1
    return (flat + eps * delta).reshape(-1, *x.shape)


def attacked_points(value, x, eps, norm, count, seed, steps=8):
    """Points found by steepest ascent on ``value`` (points → (points, targets)) in the norm's own geometry."""
    found = []
    at = random_points(x, eps, norm, count, seed)
    for step in range(steps):
        at = at.detach().requires_grad_(True)
        z = value(at)
        target = torch.arange(count) % z.shape[1]
        (gradient,) = torch.autograd.grad(z.gather(1, target[:, None]).sum(), at)
        best = farthest(gradient.flatten(1), x.flatten(), eps, norm).reshape(at.shape) + x
        share = 2 / (step + 2)  # Frank–Wolfe: a mixture stays in the ball, but for ℓ0
        at = best if norm == "l0" else at.detach() + share * (best - at.detach())
        found.append(at)
    return torch.cat(found)


def cut(points, x):
    """The points brought into [0, 1], but for what x itself has outside: they stay in the ball."""
    return torch.minimum(torch.maximum(points, x.clamp(max=0)), x.clamp(min=1))


def all_changes(x, k):
    """Every point with k of the inputs of x set to 0 or 1, by brute force."""
    flat = x.flatten()
    for places in itertools.combinations(range(len(flat)), k):
        for values in itertools.product((0.0, 1.0), repeat=k):
            point = flat.clone()
            point[list(places)] = torch.tensor(values, dtype=x.dtype)
            yield point.reshape(x.shape)
