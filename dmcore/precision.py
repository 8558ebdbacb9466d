"""The state of torch and the dtype in which every bound is computed, whatever the caller has set."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

AUTOCAST_DEVICES = tuple(kind for kind in ("cpu", "cuda", "mps", "xpu") if torch.amp.is_autocast_available(kind))

# From the general to the special: torch hands a general setting down to the special ones. By torch's own accessors, as
# the public `torch.backends.mkldnn.fp32_precision` sets another key than it reads (torch 2.15). Before torch 2.9 there
# are no such settings, only the older switches.
FP32_KEYS = tuple(
    (backend, op)
    for backend, ops in {
        "generic": ("all",),
        "cuda": ("all", "matmul", "conv", "rnn"),
        "mkldnn": ("all", "matmul", "conv", "rnn"),
    }.items()
    for op in ops
    if hasattr(torch._C, "_get_fp32_precision_getter")
)

_lock = threading.Lock()
_inside = 0  # how many calls, of all threads, are under the guard
_before: GlobalState | None = None


class GlobalState(NamedTuple):
    """What torch keeps once for all threads and lets reduce the precision of float32, or choose a default dtype.

    Attributes:
        fp32: for each of :data:`FP32_KEYS`: ``ieee``, ``tf32``, ``bf16`` or ``none``.
        matmul: as ``torch.set_float32_matmul_precision`` takes it.
        cudnn_tf32: of the older switch ``torch.backends.cudnn.allow_tf32``.
        nnpack: whether NNPACK, whose transforms lose more than sums do, may compute convolutions.
        dtype: torch's default.
    """

    fp32: tuple[str, ...]
    matmul: str
    cudnn_tf32: bool
    nnpack: bool
    dtype: torch.dtype

    @classmethod
    def read(cls) -> GlobalState:
        """The state now; leaves torch with ``fp32`` at ``ieee``.

        Torch refuses to read an older switch that a newer one contradicts, and ``ieee`` contradicts but one value.
        """
        fp32 = tuple(torch._C._get_fp32_precision_getter(*key) for key in FP32_KEYS)
        _set_fp32(("ieee",) * len(FP32_KEYS))
        try:
            cudnn_tf32 = torch._C._get_cudnn_allow_tf32()
        except RuntimeError:
            cudnn_tf32 = True
        nnpack = torch._C._get_nnpack_enabled()
        return cls(fp32, torch.get_float32_matmul_precision(), cudnn_tf32, nnpack, torch.get_default_dtype())

    def set(self) -> None:
        """Makes it torch's state. The older switches come first, as each sets some of the newer ones, too."""
        torch.set_float32_matmul_precision(self.matmul)
        torch._C._set_cudnn_allow_tf32(self.cudnn_tf32)
        _set_fp32(self.fp32)
        torch._C._set_nnpack_enabled(self.nnpack)
        if torch.get_default_dtype() != self.dtype:
            torch.set_default_dtype(self.dtype)


def certificate_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which bounds that must hold are computed for inputs x: their own, on a GPU float64.

    For convolutions in float32 cuDNN takes transforms (Winograd, FFT) that err more than sums do.
    """
    return x.dtype if x.device.type == "cpu" else torch.float64


FULL = GlobalState(("ieee",) * len(FP32_KEYS), "highest", False, False, torch.float32)


@contextmanager
def full_precision() -> Iterator[None]:
    """Every number in its own dtype and every sum at that dtype's precision, whatever the caller has set.

    Autocast, inference mode, TF32 and bfloat16 products (by the older or the newer switches), NNPACK and the default
    dtype are put aside and given back as they were. Calls may be nested and run in several threads: the last one gives
    back what all threads share. A setting that another thread changes meanwhile is lost.
    """
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = GlobalState.read()
            FULL.set()
        _inside += 1
    try:
        with ExitStack() as stack:
            for device in AUTOCAST_DEVICES:
                if torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
                stack.enter_context(torch.no_grad())  # the line above turns gradients on
            yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _before is not None:
                _before.set()
                _before = None


def _set_fp32(precisions: tuple[str, ...]) -> None:
    for key, precision in zip(FP32_KEYS, precisions, strict=True):
        torch._C._set_fp32_precision_setter(*key, precision)
