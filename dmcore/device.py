"""The device a job runs on, set up so that the same inputs give the same results."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dmcore.errors import UserError


def choose_device(name: str, threads: int) -> torch.device:
    """The device to use: ``auto`` takes a GPU if there is one, else the CPU with a warning.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads to use; it is part of what makes a CPU result reproducible.

    Raises:
        UserError: ``cuda`` was asked for and there is none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads memory that was not written
    keep_memory()
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device 'cuda' was asked for, but torch sees no GPU; use 'auto' or 'cpu', or check the driver")
    if name == "auto" and not available:
        print("no GPU found: running on the CPU", file=sys.stderr)
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def keep_memory() -> None:
    """Has the C library keep freed memory for the next tensor, rather than give it back to the system at once.

    Tensors of some megabytes come and go with every step; fetching their pages anew can cost more than the arithmetic.
    Does nothing where the C library is not glibc.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(mmap_threshold, 2**25)  # the largest that glibc takes
    mallopt(trim_threshold, 2**30)


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 without TF32, whatever the caller has set: a bound must not rest on 10-bit mantissas."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed
