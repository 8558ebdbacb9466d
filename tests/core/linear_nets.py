"""Images and linear nets of which the worst case is known, and the norms as torch numbers them."""

import torch
from torch import nn

ORDER = {"linf": float("inf"), "l2": 2, "l1": 1}
DUAL = {"linf": 1, "l2": 2, "l1": float("inf")}


def near_corners(count, size, seed=0, dtype=torch.float64):
    """Points of [0, 1]ⁿ, a third of the pixels 0 and a third 1, as images have them."""
    return (3 * uniform(size, count, seed) - 1).clamp(0, 1).to(dtype)


def uniform(size, count, seed=0, dtype=torch.float64):
    """Points of [0, 1]ⁿ."""
    return torch.rand(count, *size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


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
        order = w.abs().argsort(descending=True)
        room = room[:, order]
        gain = (w.abs()[order] * torch.minimum(room, (eps - room.cumsum(1) + room).clamp(min=0))).sum(1)
    return x @ w + gain
