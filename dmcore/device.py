"""Torch set up so that the same inputs give the same results, and its memory."""

from __future__ import annotations

import ctypes
import os

import torch


def reproducible(threads: int) -> None:
    """Has torch compute the same each time, with so many CPU threads; before CUDA starts."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with this
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("warn")  # unlike use_deterministic_algorithms it imports no compiler: 1.5 s
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # none of it is read
    keep_memory()
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what torch says where memory is short, on a GPU or not."""
    said = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(words in str(error) for words in said)


def recording() -> bool:
    """Whether what this process computes now is recorded as a CUDA graph."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


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
