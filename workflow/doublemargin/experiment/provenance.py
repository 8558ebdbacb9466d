"""Where a result comes from: code, versions, device."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import dmcore
from doublemargin.experiment import device as chosen
from doublemargin.experiment.commit import commit


def provenance(device: torch.device) -> dict[str, Any]:
    """Commit, versions, device and what is to be said of it, as recorded with every result."""
    return {
        "dmcore": dmcore.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": _version("numpy"),
        "device": _device_name(device),
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "warnings": list(chosen.warnings),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"CPU ({model})"
