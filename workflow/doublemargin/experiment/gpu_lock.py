"""A GPU of this machine for a job: leased by a file lock, which the system releases however the job ends."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from dmcore.errors import UserError

WAIT = 0.5
"""Seconds between two looks for a slot, while none is free."""

_held: list[FileLock] = []  # until the process ends


def visible_gpus(count: int) -> list[str]:
    """The names of the ``count`` GPUs that CUDA shows to this process, as CUDA_VISIBLE_DEVICES has them."""
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(index) for index in range(count)]


def lease_folder() -> Path:
    """Where the locks of this user lie; a Slurm job has its own, as its devices are numbered anew."""
    job = os.environ.get("SLURM_JOB_ID")
    return Path(tempfile.gettempdir()) / f"doublemargin-gpus-{os.getuid()}{f'-slurm-{job}' if job else ''}"


def lease_gpu(gpus: Sequence[str], slots: int, folder: Path | None = None) -> str:
    """Takes a slot of the least used GPU, waits for one if need be, and shows CUDA that GPU alone.

    To be called before CUDA starts. The slot is given back when the process ends, killed or not. Where a scheduler has
    given the process a single GPU there is nothing to choose, and no slot is taken.

    Args:
        gpus: their names in CUDA_VISIBLE_DEVICES.
        slots: how many jobs share a GPU; all GPUs get their first job before any gets its second.
        folder: where the locks lie (default: :func:`lease_folder`).

    Returns:
        The GPU's name.

    Raises:
        UserError: the locks cannot be written.
    """
    if len(gpus) == 1 and "SLURM_JOB_ID" in os.environ:
        return gpus[0]
    folder = folder or lease_folder()
    locks = {f"{gpu}.{slot}": gpu for slot in range(slots) for gpu in gpus}
    told = False
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            for name, gpu in locks.items():
                lock = FileLock(folder / f"{name}.lock")
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
                _held.append(lock)
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                return gpu
            if not told:
                print(f"all {len(locks)} slots of {len(gpus)} GPUs are taken: waiting for one", file=sys.stderr)
                told = True
            time.sleep(WAIT)
    except OSError as error:
        raise UserError(f"cannot lease a GPU in {folder}: {error.strerror or error}; set TMPDIR") from error
