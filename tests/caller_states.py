"""What a caller of the library may have set in torch, each as a context manager that puts it back."""

import contextlib
import operator

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
def setting(put, inside, outside):
    put(inside)
    try:
        yield
    finally:
        put(outside)


def _both(outer, inner):
    @contextlib.contextmanager
    def both():
        with outer(), inner():
            yield

    return both


def _set(module, name, value):
    return lambda: changed(lambda: setattr(module, name, value))


PRECISIONS = {
    "matmul medium": lambda: changed(lambda: torch.set_float32_matmul_precision("medium")),
    "matmul high": lambda: changed(lambda: torch.set_float32_matmul_precision("high")),
    "older cuda.matmul": _set(torch.backends.cuda.matmul, "allow_tf32", True),
    "older cudnn": _set(torch.backends.cudnn, "allow_tf32", False),
}
if NEWER:
    for place, value in (
        ("", "ieee"), ("", "tf32"), ("", "bf16"), ("cuda.matmul", "tf32"), ("cudnn", "tf32"), ("cudnn", "ieee"),
        ("cudnn.conv", "ieee"), ("cudnn.rnn", "ieee"), ("mkldnn.matmul", "bf16"), ("mkldnn.conv", "bf16"),
    ):  # fmt: skip
        module = operator.attrgetter(place)(torch.backends) if place else torch.backends
        PRECISIONS[f"{place or 'all'} {value}"] = _set(module, "fp32_precision", value)
STATES = {
    "autocast bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", dtype=torch.float16),
    "default float64": lambda: setting(torch.set_default_dtype, torch.float64, torch.float32),
    "default bfloat16": lambda: setting(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "default float16": lambda: setting(torch.set_default_dtype, torch.float16, torch.float32),
    "inference mode": torch.inference_mode,
    "autocast in inference mode": _both(torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)),
    "no gradients": torch.no_grad,
    "deterministic": lambda: setting(torch.use_deterministic_algorithms, True, False),
    "flushing denormals": lambda: setting(torch.set_flush_denormal, True, False),
    "two threads": lambda: setting(torch.set_num_threads, 2, torch.get_num_threads()),
    "without oneDNN": lambda: torch.backends.mkldnn.flags(enabled=False),
    "default device": lambda: torch.device("meta" if NEWER else "cpu"),  # where older Adams keep their step count
    "anomalies": torch.autograd.detect_anomaly,
    **PRECISIONS,
}
