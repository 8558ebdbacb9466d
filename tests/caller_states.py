"""What a caller of the library may have set in torch, each as a context manager that puts it back."""

import contextlib

import torch

NEWER = hasattr(torch._C, "_get_fp32_precision_getter")  # torch before 2.9 has only the older switches
KEYS = [(b, op) for b in ("cuda", "mkldnn") for op in ("all", "matmul", "conv", "rnn")] if NEWER else []


def precisions():
    """All that torch says of its precision settings; where it refuses to say, that."""

    def said(read):
        try:
            return read()
        except RuntimeError:
            return "refused"

    fp32 = [torch._C._get_fp32_precision_getter(*key) for key in [("generic", "all"), *KEYS] if NEWER]
    older = (
        torch.get_float32_matmul_precision,
        lambda: torch.backends.cuda.matmul.allow_tf32,
        lambda: torch.backends.cudnn.allow_tf32,
        lambda: torch.backends.nnpack.set_flags(torch._C._get_nnpack_enabled()),
    )
    return [*fp32, *map(said, older)]


FULL = [*["ieee"] * (9 if NEWER else 0), "highest", False, False, (False,)]
"""What :func:`precisions` are while a bound is computed."""


@contextlib.contextmanager
def changed(change):
    """Torch's precision settings after ``change()``; then as a fresh process has them."""
    change()
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = True
        if NEWER:
            torch.backends.fp32_precision = "none"
        for key in KEYS:
            value = "tf32" if key in (("cuda", "conv"), ("cuda", "rnn")) else "none"
            torch._C._set_fp32_precision_setter(*key, value)


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def flushing():
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _both(outer, inner):
    @contextlib.contextmanager
    def both():
        with outer(), inner():
            yield

    return both


def _set(module, value):
    return lambda: changed(lambda: setattr(module, "fp32_precision", value))


def _newer():
    backends = torch.backends
    return {
        "all ieee": _set(backends, "ieee"),
        "all tf32": _set(backends, "tf32"),
        "all bf16": _set(backends, "bf16"),
        "cuda.matmul tf32": _set(backends.cuda.matmul, "tf32"),
        "cudnn tf32": _set(backends.cudnn, "tf32"),
        "cudnn ieee": _set(backends.cudnn, "ieee"),
        "cudnn.conv ieee": _set(backends.cudnn.conv, "ieee"),
        "cudnn.rnn ieee": _set(backends.cudnn.rnn, "ieee"),
        "mkldnn.matmul bf16": _set(backends.mkldnn.matmul, "bf16"),
        "mkldnn.conv bf16": _set(backends.mkldnn.conv, "bf16"),
    }


PRECISIONS = {
    **(_newer() if NEWER else {}),
    "matmul medium": lambda: changed(lambda: torch.set_float32_matmul_precision("medium")),
    "matmul high": lambda: changed(lambda: torch.set_float32_matmul_precision("high")),
    "older cuda.matmul": lambda: changed(lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True)),
    "older cudnn": lambda: changed(lambda: setattr(torch.backends.cudnn, "allow_tf32", False)),
}
STATES = {
    "autocast bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "default float64": lambda: default_dtype(torch.float64),
    "default bfloat16": lambda: default_dtype(torch.bfloat16),
    "default float16": lambda: default_dtype(torch.float16),
    "inference mode": torch.inference_mode,
    "autocast in inference mode": _both(torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)),
    "no gradients": torch.no_grad,
    "deterministic": deterministic,
    "flushing denormals": flushing,
    "two threads": lambda: threads(2),
    "without oneDNN": lambda: torch.backends.mkldnn.flags(enabled=False),
    "default device": lambda: torch.device("meta" if NEWER else "cpu"),  # where older Adams keep their step count
    "anomalies": torch.autograd.detect_anomaly,
    **PRECISIONS,
}
