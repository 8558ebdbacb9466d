"""Crops and flips against loops over the same random numbers."""

import torch

from dmcore.data.augment import augment


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def by_loops(x, pad, flip, seed):
    """Every pixel on its own: what lies outside the image is 0."""
    numbers = generator(seed)
    b, _, h, w = x.shape
    offsets = torch.randint(2 * pad + 1, (2, b), generator=numbers) if pad else torch.zeros(2, b, dtype=torch.long)
    mirrored = torch.randint(2, (b, 1), generator=numbers) if flip else torch.zeros(b, 1)
    out = torch.zeros_like(x)
    for n in range(b):
        for i in range(h):
            for j in range(w):
                row = i + int(offsets[0, n]) - pad
                column = (w - 1 - j if mirrored[n] else j) + int(offsets[1, n]) - pad
                if 0 <= row < h and 0 <= column < w:
                    out[n, :, i, j] = x[n, :, row, column]
    return out


def test_against_loops():
    for dtype in (torch.uint8, torch.float32):
        x = torch.randint(1, 256, (7, 3, 5, 4), generator=generator(1)).to(dtype)
        for pad, flip in ((2, True), (2, False), (0, True), (0, False), (6, True)):
            made = augment(x, generator(3), pad, flip)
            assert made.dtype == dtype
            assert torch.equal(made, by_loops(x, pad, flip, 3)), (pad, flip)


def test_the_same_generator_the_same_batch_and_the_global_one_is_left_alone():
    x = torch.rand(8, 3, 6, 6)
    state = torch.get_rng_state()
    first, again, other = (
        augment(x, generator(1), 4, True),
        augment(x, generator(1), 4, True),
        augment(x, generator(2), 4, True),
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())
