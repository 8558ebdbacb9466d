"""The device a job runs on, set up so that the same inputs give the same results."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import torch

from dmcore.errors import UserError

NO_GPU = "no GPU found: computed on the CPU"

warnings: list[str] = []
"""What a record is to say of the device that this process computes on."""


def choose_device(name: str, threads: int, lease: Callable[[int], str] | None = None) -> torch.device:
    """The device to use: ``auto`` takes a GPU if there is one, else the CPU with a warning, which records repeat.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads to use; it is part of what makes a CPU result reproducible.
        lease: told how many GPUs there are, takes one, the only one that CUDA then sees, and returns its name; called
            before CUDA starts. None leaves the choice to CUDA.

    Raises:
        UserError: ``cuda`` was asked for and there is none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("warn")  # unlike use_deterministic_algorithms it imports no compiler: 1.5 s
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # none of it is read
    keep_memory()
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    warnings.clear()
    gpus = 0 if name == "cpu" else torch.cuda.device_count()  # asks the driver, and does not start CUDA yet
    if gpus:
        if lease is not None:
            print(f"GPU {lease(gpus)}", file=sys.stderr)
        return torch.device("cuda")
    if name == "cuda":
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        seen = f" (CUDA_VISIBLE_DEVICES is '{hidden}')" if hidden is not None else ""
        raise UserError(
            f"device 'cuda' was asked for, but torch sees no GPU{seen}; use 'auto' or 'cpu', or check the driver"
        )
    if name == "auto":
        warnings.append(NO_GPU)
        print(NO_GPU, file=sys.stderr)
    return torch.device("cpu")


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what torch says where memory is short, on a GPU or not."""
    said = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in str(error) for words in said)


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
