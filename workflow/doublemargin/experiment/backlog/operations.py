"""How many multiply-adds a training step takes, counted as one is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dmcore.nets.builder import build_net
from dmcore.regularizers import Batch
from dmcore.training.objective import Objective
from doublemargin.experiment.resolve import method_spec

EPS = 1.0
"""A radius in every norm. Counts hardly depend on it."""


class Counter(TorchDispatchMode):
    """Counts floating-point operations by torch's own formulas, also those of gradients that an attack takes.

    torch's ``FlopCounterMode`` breaks where code calls ``autograd.grad``.
    """

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def step_operations(config: Mapping[str, Any], dataset: str, arch: str, method: str) -> float:
    """Multiply-adds of a training step after the ramp, per point of its batch: all passes, an attack's among them."""
    spec, data = method_spec(config, method, dataset), config["datasets"][dataset]
    with torch.random.fork_rng(devices=[]):
        net = build_net(arch, tuple(data["shape"]), data["classes"], members=spec.members)
    batch = Batch(net, torch.full((1, *data["shape"]), 0.5), torch.zeros(1, dtype=torch.int64), EPS, torch.Generator())
    with Counter() as counter:
        loss, _ = Objective(spec)(batch)
        loss.backward()
    return counter.total / 2
