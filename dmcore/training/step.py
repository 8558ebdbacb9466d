"""One step of training: from a batch to changed weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmcore.data import Split, pixels
from dmcore.data.augment import augment
from dmcore.nets import Network, build_net
from dmcore.nets.batch_norm import has_batch_norm, observed
from dmcore.nets.ibp_init import ibp_init
from dmcore.regularizers import Batch
from dmcore.regularizers.stack import Stack
from dmcore.spec import ModelSpec
from dmcore.training.batches import Batches
from dmcore.training.history import Totals, measured
from dmcore.training.objective import Objective
from dmcore.training.pruning import WeightPruner


class Learner:
    """A model in training: all that its steps change, weights, optimiser, random numbers, pruning, sums.

    Args:
        recordable: whether its steps can be recorded as a CUDA graph.

    Attributes:
        totals: sums of what the steps tell.
        x: the pixels of the last step's batch.
        done: the number of steps that were made, on the device.
        first_bad: the number of the first step whose loss was not finite, −1 if there was none; on the device.
    """

    def __init__(self, spec: ModelSpec, data: Split, device: torch.device, recordable: bool = False) -> None:
        self.spec, self.schedule, self.device = spec, spec.training, device
        self.batches = Batches(data, spec.training.batch, spec.seed)
        self.net = seeded_net(spec).to(device)
        self.with_batch_norm = has_batch_norm(self.net)
        self.objective = Objective(spec.method)
        self.optimizer = self._make_optimizer(recordable)
        self.noise = torch.Generator(device).manual_seed(spec.seed)
        self.totals = Totals()
        self.x = torch.empty(0)
        self.done = torch.zeros((), dtype=torch.int64, device=device)
        self.first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        threshold = spec.method.pruning.weights if spec.method.pruning else 0.0
        self.pruner = WeightPruner(self.net, threshold) if threshold else None

    def resume(self, step: int, totals: Totals) -> None:
        """Goes on at a step of that number; weights, optimiser and random numbers have been put back already."""
        self.totals = totals
        self.done.fill_(step)
        if self.pruner is not None:
            self.pruner.resume()

    def batch(self, x: Tensor, y: Tensor, eps: Tensor | float, ramp: Tensor | float) -> Batch:
        """The next step's batch, of uint8 images x."""
        options = self.spec.dataset.get("augment")
        if options:
            x = augment(x, self.noise, **options)
        self.x = pixels(x)
        batch = Batch(self.net, self.x, y, eps, self.noise, ramp)
        if self.with_batch_norm:  # first of all passes: the others take its statistics
            batch.logits = observed(self.net, self.x)
        return batch

    def learn(self, batch: Batch, loss: Tensor, parts: dict[str, Tensor]) -> list[str]:
        """Changes the weights by their gradients; the names of what the step told, which is in the totals already."""
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
        return list(values)

    def _make_optimizer(self, recordable: bool) -> torch.optim.Optimizer:
        """Adam, or SGD with momentum 0.9, in its fused form; a recorded step takes the rate from the device."""
        rate = torch.tensor(self.schedule.lr, device=self.device) if recordable else self.schedule.lr
        if self.schedule.optimizer == "sgd":
            return torch.optim.SGD(self.net.parameters(), lr=rate, momentum=0.9, fused=True)
        return torch.optim.Adam(self.net.parameters(), lr=rate, fused=True, capturable=recordable)


class Step:
    """The steps of one model, or of several that share network, data and schedule: their passes are made together."""

    recordable = False

    def __init__(self, learners: Sequence[Learner]) -> None:
        self.learners, self.schedule = learners, learners[0].schedule

    def __call__(self, step: int) -> None:
        """Makes the step of that number, counted from 0."""
        ramp, rate = self.schedule.ramp_factor(step), self.schedule.learning_rate(step)
        batches = []
        for learner in self.learners:
            for group in learner.optimizer.param_groups:
                group["lr"] = rate
            batches.append(learner.batch(*learner.batches[step], learner.spec.eps_value * ramp, ramp))
        self._count(self._learn(batches, ramping=ramp > 0))

    def _learn(self, batches: Sequence[Batch], ramping: bool) -> list[list[str]]:
        """All of a step that happens on the device; what each model tells."""
        if len(batches) > 1:
            Stack(batches)
        both = list(zip(self.learners, batches, strict=True))
        found = [learner.objective(batch, ramping) for learner, batch in both]
        for learner in self.learners:
            learner.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss for loss, _ in found])
        return [learner.learn(batch, *told) for (learner, batch), told in zip(both, found, strict=True)]

    def _count(self, told: Sequence[list[str]]) -> None:
        for learner, names in zip(self.learners, told, strict=True):
            learner.totals.count(names)


def seeded_net(spec: ModelSpec) -> Network:
    """The net as it is before the first step; leaves torch's own random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        net = build_net(**spec.network, training=True)
        return ibp_init(net) if spec.method.init == "ibp" else net
