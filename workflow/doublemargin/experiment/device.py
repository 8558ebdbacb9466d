"""The device that a job computes on: of several GPUs one that it leases."""

from __future__ import annotations

import torch

from dmcore.device import choose_device
from doublemargin.experiment.gpu_lock import lease_gpu, visible_gpus


def job_device(name: str, threads: int, gpu_slots: int = 1) -> torch.device:
    """The device as :func:`dmcore.device.choose_device` has it, a GPU leased by :func:`lease_gpu`.

    Args:
        gpu_slots: how many jobs share a GPU.
    """
    return choose_device(name, threads, lambda count: lease_gpu(visible_gpus(count), gpu_slots))
