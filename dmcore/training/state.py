"""The state of an unfinished training on disk: enough to go on as if nothing had happened, to the last bit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmcore import tensorfile
from dmcore.errors import UserError
from dmcore.files import BadFileError
from dmcore.nets import Network
from dmcore.training.history import Totals

KIND = "dmcore.training_state"


@dataclass
class Progress:
    """Where a training stands besides its weights.

    Attributes:
        step: steps that are done.
        history: the entries so far.
        totals: sums since the last of them.
        seconds: spent on these steps, over all the processes that had a part.
        cpu_seconds: what these processes were given of the processors in that time, all threads together.
    """

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def save_state(
    path: Path, key: str, net: Network, optimizer: torch.optim.Optimizer, noise: torch.Generator, at: Progress
) -> None:
    """Writes everything that the rest of the run depends on.

    Args:
        key: what else the run depends on (specification, code, data, device), as a hash.
    """
    tensors = {f"net.{name}": t for name, t in net.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": t for name, t in values.items() if isinstance(t, Tensor)}
    tensors |= {f"totals.{name}": t for name, t in at.totals.sums.items()}
    tensors["noise"] = noise.get_state()
    progress = {"step": at.step, "history": at.history, "counts": at.totals.counts}
    progress |= {"seconds": at.seconds, "cpu_seconds": at.cpu_seconds}
    tensorfile.save(path, KIND, tensors, {"key": key, "progress": json.dumps(progress)})


def load_state(
    path: Path, key: str, net: Network, optimizer: torch.optim.Optimizer, noise: torch.Generator
) -> tuple[Progress | None, str]:
    """Puts a saved state back into the net, the optimiser and the random numbers.

    Returns:
        Where the run stands, or None if it starts anew, and a line that says what was found.
    """
    if not path.exists():
        return None, "starting"
    try:
        tensors, meta = tensorfile.load(path, KIND)
    except BadFileError as error:
        return None, f"starting anew: {error.wrong}; it will be written anew"
    except UserError as error:
        return None, f"starting anew: {error}"
    if meta["key"] != key:
        return None, f"starting anew: {path} is of other settings, code, data or device"
    device = next(net.parameters()).device
    net.load_state_dict(_group(tensors, "net."))
    for index, parameter in enumerate(p for group in optimizer.param_groups for p in group["params"]):
        values = _group(tensors, f"optimizer.{index}.")
        # Into tensors laid out like the parameter, which fused optimisers rely on.
        optimizer.state[parameter] = {
            name: torch.empty_like(parameter).copy_(t) if t.shape == parameter.shape else t.to(device)
            for name, t in values.items()
        }
    noise.set_state(tensors["noise"])
    stood: dict[str, Any] = json.loads(meta["progress"])
    totals = Totals({name: t.to(device) for name, t in _group(tensors, "totals.").items()}, stood["counts"])
    at = Progress(stood["step"], stood["history"], totals, stood["seconds"], stood["cpu_seconds"])
    return at, f"resuming at step {at.step}, after {at.seconds:.0f} s"


def _group(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
