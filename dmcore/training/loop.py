"""The training loop, the only one: every method is an objective that it minimises (Algorithm 1)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dmcore.data import ImageSet, Split
from dmcore.data.augment import augment
from dmcore.domains import Ball
from dmcore.domains.interval import unstable_relus
from dmcore.errors import UserError
from dmcore.nets import Network, build_net
from dmcore.nets.ensemble import vote
from dmcore.nets.pruning import prune_relus, rarely_switching, relu_activity
from dmcore.progress import progress
from dmcore.regularizers import Batch
from dmcore.spec import ModelSpec
from dmcore.training.batches import batches, pixels
from dmcore.training.history import Totals, measured
from dmcore.training.objective import Objective
from dmcore.training.pruning import WeightPruner
from dmcore.training.schedule import Schedule
from dmcore.training.state import Progress, load_state, save_state

SAVE_EVERY = 60.0  # seconds of work that a kill may cost
CHECK_EVERY = {"cpu": 1, "cuda": 200}  # steps between looks at the loss; on a GPU a look waits for the device


@dataclass(frozen=True)
class Saving:
    """Where and how often a run saves its state; ``key`` hashes all that the result depends on besides the spec."""

    path: Path
    key: str
    every: float = SAVE_EVERY


@dataclass(frozen=True)
class Trained:
    """A trained net with its history (one entry an epoch), the seconds spent, and its accuracies.

    Attributes:
        accuracies: ``test``; ``validation`` where there is such a split; ``test_vote`` for an ensemble.
    """

    net: Network
    history: list[dict[str, float]]
    seconds: float
    accuracies: dict[str, float]


def train(spec: ModelSpec, images: ImageSet, device: torch.device, saving: Saving | None = None) -> Trained:
    """Trains one model; the same spec, seed and device give the same weights, interrupted or not.

    The data set is moved to the device as a whole, and nothing waits for the device inside an epoch.

    Raises:
        UserError: the data do not fit the spec; the loss stopped being finite.
    """
    shape = tuple(images.train.x.shape[1:])
    if list(shape) != list(spec.dataset["shape"]):
        raise UserError(f"prepared images are {shape}, the spec says {spec.dataset['shape']}: prepare the data again")
    run = Run(spec, images.train.to(device), device, saving)
    net, at = run.net, run.finish()
    if spec.method.pruning is not None and spec.method.pruning.relus is not None:
        activity = relu_activity(net, (pixels(x) for x in run.data.x.split(1000)))
        net = prune_relus(net, *rarely_switching(activity, spec.method.pruning.relus))
    return Trained(net, at.history, at.seconds, _accuracies(net, images, spec, device))


class Run:
    """One training under way."""

    def __init__(self, spec: ModelSpec, data: Split, device: torch.device, saving: Saving | None) -> None:
        self.spec, self.data, self.saving = spec, data, saving
        t = spec.training
        self.schedule = Schedule(t.steps, t.warmup, t.ramp, t.lr, t.lr_drops)
        self.net = seeded_net(spec).to(device)
        self.objective = Objective(spec.method)
        self.optimizer = make_optimizer(t.optimizer, self.net, t.lr)
        self.noise = torch.Generator(device).manual_seed(spec.seed)
        self.at = Progress()
        self.first_bad = torch.full((), -1, device=device)  # the first step whose loss was not finite
        threshold = spec.method.pruning.weights if spec.method.pruning else 0.0
        self.pruner = WeightPruner(self.net, threshold) if threshold else None
        self.check_every = CHECK_EVERY.get(device.type, 1)

    def finish(self) -> Progress:
        """Takes up a saved state if there is one, and does all the steps that are left."""
        self._resume()
        started, saved = time.perf_counter() - self.at.seconds, time.perf_counter()
        t, per_epoch = self.spec.training, len(self.data) // self.spec.training.batch
        left = batches(self.data, t.batch, t.steps, self.spec.seed, self.at.step)
        for x, y in progress(left, t.steps - self.at.step, self.spec.path):
            step = self.at.step
            batch = self.step(step, x, y)
            self.at.step = step + 1
            over = self.at.step % per_epoch == 0 or self.at.step == t.steps
            if over or self.at.step % self.check_every == 0:
                self._check()
            if over:
                self._close_epoch(step, batch)
            now = time.perf_counter()
            if self.saving is not None and now - saved > self.saving.every:
                self.at.seconds = now - started
                self._save()
                saved = time.perf_counter()
        self.at.seconds = time.perf_counter() - started
        return self.at

    def step(self, step: int, x: Tensor, y: Tensor) -> Batch:
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(step)
        options = self.spec.dataset.get("augment")
        if options:
            x = augment(x, generator=self.noise, **options)
        level = self.schedule.level(step)
        batch = Batch(self.net, pixels(x), y, self.spec.eps_value * level, self.noise)
        loss, parts = self.objective(batch, level, ramping=level > 0)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self._prune(step)
        self.at.totals.add(measured(loss, parts, batch))
        self.first_bad = torch.where((self.first_bad < 0) & ~loss.detach().isfinite(), step, self.first_bad)
        return batch

    def _prune(self, step: int) -> None:
        """Once the ramp is over: at its end, then at every epoch's, and the pruned weights stay 0 in between."""
        if self.pruner is None:
            return
        start = self.schedule.warmup + self.schedule.ramp
        epoch_end = (step + 1) % (len(self.data) // self.spec.training.batch) == 0
        if step >= start and (self.pruner.alive is None or epoch_end or step + 1 == self.schedule.steps):
            self.pruner.prune()
        self.pruner.hold()

    def _close_epoch(self, step: int, batch: Batch) -> None:
        level = self.schedule.level(step)
        entry = {
            "epoch": len(self.at.history) + 1,
            "step": step + 1,
            "eps": self.spec.eps_value * level,
            "level": level,
        }
        entry["lr"] = self.schedule.learning_rate(step)
        if self.spec.eps != "none":
            entry["unstable_relus"] = float(unstable_relus(self.net, Ball(batch.x, batch.eps, self.objective.norm)))
        self.at.history.append(entry | self.at.totals.means())
        self.at.totals = Totals()

    def _check(self) -> None:
        """Stops a run whose loss is no longer finite, before anything of it is saved."""
        bad = int(self.first_bad)
        if bad < 0:
            return
        t = self.spec.training
        kept = f"; the last good state is {self.saving.path}" if self.saving and self.saving.path.exists() else ""
        raise UserError(
            f"{self.spec.path}: the loss of the method '{self.spec.method.name}' is no longer finite at step "
            f"{bad + 1} of {t.steps}; lower the learning rate ({t.lr}) or lengthen the ramp ({t.ramp} steps) of "
            f"schedule '{self.spec.schedule}'{kept}"
        )

    def _resume(self) -> None:
        if self.saving is None:
            return
        found, line = load_state(self.saving.path, self.saving.key, self.net, self.optimizer, self.noise)
        print(f"{self.spec.path}: {line}", file=sys.stderr)
        if found is not None:
            self.at = found
            if self.pruner is not None and found.step > self.schedule.warmup + self.schedule.ramp:
                self.pruner.resume()

    def _save(self) -> None:
        self._check()
        save_state(self.saving.path, self.saving.key, self.net, self.optimizer, self.noise, self.at)


def make_optimizer(name: str, net: Network, lr: float) -> torch.optim.Optimizer:
    """Adam, or SGD with momentum 0.9, in its fused form."""
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    options = {"momentum": 0.9} if name == "sgd" else {}
    return makers[name](net.parameters(), lr=lr, fused=True, **options)


def seeded_net(spec: ModelSpec) -> Network:
    """The net as it is before the first step; leaves torch's own random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        normalize = spec.dataset.get("normalize") or {}
        shape, classes = tuple(spec.dataset["shape"]), spec.dataset["classes"]
        return build_net(spec.arch, shape, classes, members=spec.method.members, **normalize)


def _accuracies(net: Network, images: ImageSet, spec: ModelSpec, device: torch.device) -> dict[str, float]:
    test = images.test.to(device)
    found = {"test": accuracy(test, lambda x: net(x).argmax(1))}
    if images.validation is not None:
        found["validation"] = accuracy(images.validation.to(device), lambda x: net(x).argmax(1))
    if spec.method.members > 1:
        found["test_vote"] = accuracy(test, lambda x: vote(net, x))
    return found


@torch.no_grad()
def accuracy(data: Split, predict: Callable[[Tensor], Tensor], size: int = 1000) -> float:
    """The share of points classified right."""
    pairs = zip(data.x.split(size), data.y.split(size), strict=True)
    return int(torch.stack([(predict(pixels(x)) == y).sum() for x, y in pairs]).sum()) / len(data)
