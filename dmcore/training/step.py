"""One step of training: from a batch to changed weights."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.data import Split, pixels
from dmcore.data.augment import augment
from dmcore.nets import Network, build_net
from dmcore.nets.ibp_init import ibp_init
from dmcore.regularizers import Batch
from dmcore.spec import ModelSpec
from dmcore.training.batches import Batches
from dmcore.training.history import Totals, measured
from dmcore.training.objective import Objective
from dmcore.training.pruning import WeightPruner


class Step:
    """The steps of one run, and all that they change: weights, optimiser, random numbers, pruning, sums.

    Attributes:
        totals: sums of what the steps tell.
        x: the pixels of the last step's batch.
        done: the number of steps that were made, on the device.
        first_bad: the number of the first step whose loss was not finite, −1 if there was none; on the device.
    """

    def __init__(self, spec: ModelSpec, data: Split, device: torch.device) -> None:
        self.spec, self.schedule, self.device = spec, spec.training, device
        self.batches = Batches(data, spec.training.batch, spec.seed)
        self.net = seeded_net(spec).to(device)
        self.objective = Objective(spec.method)
        self.optimizer = self._make_optimizer()
        self.noise = torch.Generator(device).manual_seed(spec.seed)
        self.totals = Totals()
        self.x = torch.empty(0)
        self.done = torch.zeros((), dtype=torch.int64, device=device)
        self.first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        threshold = spec.method.pruning.weights if spec.method.pruning else 0.0
        self.pruner = WeightPruner(self.net, threshold) if threshold else None

    def __call__(self, step: int) -> None:
        """Makes the step of that number, counted from 0."""
        ramp = self.schedule.ramp_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(step)
        values = self._compute(*self.batches[step], self.spec.eps_value * ramp, ramp, ramping=ramp > 0)
        self.totals.count(list(values))

    def resume(self, step: int, totals: Totals) -> None:
        """Goes on at a step of that number; weights, optimiser and random numbers have been put back already."""
        self.totals = totals
        self.done.fill_(step)
        if self.pruner is not None:
            self.pruner.resume()

    def _compute(
        self, x: Tensor, y: Tensor, eps: Tensor | float, ramp: Tensor | float, ramping: bool
    ) -> dict[str, Tensor]:
        """All of a step that happens on the device; what it tells, which is in the totals already."""
        options = self.spec.dataset.get("augment")
        if options:
            x = augment(x, self.noise, **options)
        self.x = pixels(x)
        batch = Batch(self.net, self.x, y, eps, self.noise, ramp)
        loss, parts = self.objective(batch, ramping)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.schedule.clip:
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.schedule.clip)
        self.optimizer.step()
        if self.pruner is not None:
            self.pruner.hold()
        self.done += 1
        bad = (self.first_bad < 0) & ~loss.detach().isfinite()
        self.first_bad.copy_(torch.where(bad, self.done, self.first_bad))
        values = measured(loss, parts, batch)
        self.totals.add(values)
        return values

    def _make_optimizer(self) -> torch.optim.Optimizer:
        """Adam, or SGD with momentum 0.9, in its fused form."""
        if self.schedule.optimizer == "sgd":
            return torch.optim.SGD(self.net.parameters(), lr=self.schedule.lr, momentum=0.9, fused=True)
        return torch.optim.Adam(self.net.parameters(), lr=self.schedule.lr, fused=True)


def seeded_net(spec: ModelSpec) -> Network:
    """The net as it is before the first step; leaves torch's own random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        net = build_net(**spec.network)
        return ibp_init(net) if spec.method.init == "ibp" else net
