"""Images for attacks, and the norms as torch numbers them."""

import torch

ORDER = {"linf": float("inf"), "l2": 2, "l1": 1}


def near_corners(count, size, seed=0, dtype=torch.float64):
    """Points of [0, 1]ⁿ, a third of the pixels 0 and a third 1, as images have them."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, *size, generator=generator, dtype=dtype) * 3 - 1).clamp(0, 1)
