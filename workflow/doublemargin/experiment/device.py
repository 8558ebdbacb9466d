"""The device that a job computes on: of several GPUs one that it leases."""

from __future__ import annotations

import os
import sys

import torch

from dmcore.device import reproducible
from dmcore.errors import UserError
from doublemargin.experiment.gpu_lock import lease_gpu, visible_gpus

NO_GPU = "no GPU found: computed on the CPU"

warnings: list[str] = []
"""What a record is to say of the device that this process computes on."""


def job_device(name: str, threads: int, gpu_slots: int = 1) -> torch.device:
    """The device to use: ``auto`` takes a GPU if there is one, else the CPU with a warning, which records repeat.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads to use; it is part of what makes a CPU result reproducible.
        gpu_slots: how many jobs share a GPU, which :func:`lease_gpu` leases.

    Raises:
        UserError: ``cuda`` was asked for and there is none; or there is one, but CUDA does not start.
    """
    reproducible(threads)
    warnings.clear()
    gpus = 0 if name == "cpu" else torch.cuda.device_count()  # asks the driver, and does not start CUDA yet
    if gpus:
        print(f"GPU {lease_gpu(visible_gpus(gpus), gpu_slots)}", file=sys.stderr)
        _start_cuda()
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


def _start_cuda() -> None:
    try:
        torch.cuda.init()
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"CUDA does not start ({reason}); this torch is made for CUDA {torch.version.cuda}: update the driver, "
            "install the torch that fits it, or use the device 'cpu'"
        ) from error
