"""Points of a ball in each norm, for trying out what bounds must hold for; by loops and from the definitions alone."""

import itertools

import torch

RADII = {"linf": 0.1, "l2": 0.4, "l1": 0.8, "l0": 2}
"""A radius for each norm at which the test nets have stable and unstable neurons."""


def length(delta, norm):
    """‖δ‖ of each row."""
    flat = delta.flatten(1)
    if norm == "l0":
        return (flat != 0).sum(1)
    return {"linf": flat.abs().amax(1), "l1": flat.abs().sum(1), "l2": flat.square().sum(1).sqrt()}[norm]


def farthest(slope, x, eps, norm):
    """δ for one x and one linear form ``slope`` (both flat): where over the ball the form is largest."""
    if norm == "linf":
        return eps * slope.sign()
    if norm == "l2":
        return eps * slope / slope.norm() if slope.norm() > 0 else torch.zeros_like(slope)
    delta = torch.zeros_like(slope)
    if norm == "l1":
        i = slope.abs().argmax()
        delta[i] = eps * slope[i].sign()
        return delta
    gains = torch.maximum(slope * (1 - x), -slope * x)
    for i in gains.argsort(descending=True)[: int(eps)]:
        delta[i] = (1 - x[i]) if slope[i] > 0 else -x[i]
    return delta


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


def attacked_points(value, x, eps, norm, count, seed, steps=8):
    """Points found by steepest ascent on ``value`` (points → (points, targets)) in the norm's own geometry."""
    found = []
    at = random_points(x, eps, norm, count, seed)
    for step in range(steps):
        at = at.detach().requires_grad_(True)
        z = value(at)
        target = torch.arange(count) % z.shape[1]
        (gradient,) = torch.autograd.grad(z.gather(1, target[:, None]).sum(), at)
        best = [farthest(g.flatten(), x.flatten(), eps, norm).reshape(x.shape) + x for g in gradient]
        share = 2 / (step + 2)  # Frank–Wolfe: a mixture stays in the ball, but for ℓ0
        at = torch.stack(best) if norm == "l0" else at.detach() + share * (torch.stack(best) - at.detach())
        found.append(at)
    return torch.cat(found)


def all_changes(x, k):
    """Every point with k of the inputs of x set to 0 or 1, by brute force."""
    flat = x.flatten()
    for places in itertools.combinations(range(len(flat)), k):
        for values in itertools.product((0.0, 1.0), repeat=k):
            point = flat.clone()
            point[list(places)] = torch.tensor(values, dtype=x.dtype)
            yield point.reshape(x.shape)
