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
from dmcore.domains import Ball
from dmcore.domains.interval import unstable_relus
from dmcore.errors import UserError
from dmcore.nets import Network
from dmcore.nets.ensemble import vote
from dmcore.nets.pruning import prune_relus, rarely_switching, relu_activity
from dmcore.progress import progress
from dmcore.regularizers import Batch
from dmcore.spec import ModelSpec
from dmcore.stopping import StoppedError, stoppable
from dmcore.training.batches import batches, pixels
from dmcore.training.captured import CapturedStep
from dmcore.training.history import Totals
from dmcore.training.state import Progress, load_state, save_state
from dmcore.training.step import Step

SAVE_EVERY = 60.0  # seconds of work that a kill may cost
ENTRIES = 20  # of the history, at the least; a long run has one an epoch
CHECK_EVERY = {"cpu": 1, "cuda": 200}  # steps between looks at the loss; on a GPU a look waits for the device


@dataclass(frozen=True)
class Saving:
    """Where and how often a run saves its state; ``key`` hashes all that the result depends on besides the spec."""

    path: Path
    key: str
    every: float = SAVE_EVERY


@dataclass(frozen=True)
class Trained:
    """A trained net with its history (one entry an epoch or more), the seconds spent, and its accuracies.

    Attributes:
        cpu_seconds: what the process was given of the processors; less than ``seconds`` where others took their part.
        accuracies: ``test``; ``validation`` where there is such a split; ``test_vote`` for an ensemble.
    """

    net: Network
    history: list[dict[str, float]]
    seconds: float
    cpu_seconds: float
    accuracies: dict[str, float]


def train(
    spec: ModelSpec,
    images: ImageSet,
    device: torch.device,
    saving: Saving | None = None,
    cuda_graphs: bool = False,
) -> Trained:
    """Trains one model; the same spec, seed and device give the same weights, interrupted or not.

    The data set is moved to the device as a whole, and nothing waits for the device between two looks at the loss.

    Args:
        saving: where to save states and take one up; None keeps none.
        cuda_graphs: on a GPU, replay each step as a graph instead of launching its kernels one by one.

    Raises:
        UserError: the data do not fit the spec; the loss stopped being finite.
        StoppedError: on SIGTERM, after the step under way, with the state saved.
    """
    shape = tuple(images.train.x.shape[1:])
    if list(shape) != list(spec.dataset["shape"]):
        raise UserError(f"prepared images are {shape}, the spec says {spec.dataset['shape']}: prepare the data again")
    run = Run(spec, images.train.to(device), device, saving, cuda_graphs)
    net, at = run.net, run.finish()
    if spec.method.pruning is not None and spec.method.pruning.relus is not None:
        activity = relu_activity(net, (pixels(x) for x in run.data.x.split(1000)))
        net = prune_relus(net, *rarely_switching(activity, spec.method.pruning.relus))
    return Trained(net, at.history, at.seconds, at.cpu_seconds, _accuracies(net, images, spec, device))


class Run:
    """One training under way: the steps, and what is kept of them."""

    def __init__(
        self,
        spec: ModelSpec,
        data: Split,
        device: torch.device,
        saving: Saving | None = None,
        cuda_graphs: bool = False,
    ) -> None:
        self.spec, self.data, self.saving = spec, data, saving
        self.step = (CapturedStep if cuda_graphs and device.type == "cuda" else Step)(spec, device)
        self.at = Progress()
        self.per_epoch = len(data) // spec.training.batch
        self.note_every = max(1, min(self.per_epoch, spec.training.steps // ENTRIES))
        self.check_every = CHECK_EVERY.get(device.type, 1)

    @property
    def net(self) -> Network:
        """The network as it is now."""
        return self.step.net

    def finish(self) -> Progress:
        """Takes up a saved state if there is one, and does all the steps that are left."""
        self._resume()
        started, worked = time.perf_counter() - self.at.seconds, time.process_time() - self.at.cpu_seconds
        saved = time.perf_counter()
        t = self.spec.training
        left = batches(self.data, t.batch, t.steps, self.spec.seed, self.at.step)
        with stoppable() as stopper:
            for x, y in progress(left, t.steps - self.at.step, self.spec.path):
                batch, values = self.step(self.at.step, x, y)
                self.at.totals.add(values)
                self.at.step += 1
                self._prune()
                noted = self.at.step % self.note_every == 0 or self.at.step == t.steps
                if noted or self.at.step % self.check_every == 0:
                    self._check()
                if noted:
                    self._note(batch)
                now = time.perf_counter()
                if self.saving is not None and (stopper.asked or now - saved > self.saving.every):
                    self.at.seconds, self.at.cpu_seconds = now - started, time.process_time() - worked
                    self._save()
                    saved = time.perf_counter()
                if stopper.asked:
                    self._stop()
        self.at.seconds, self.at.cpu_seconds = time.perf_counter() - started, time.process_time() - worked
        return self.at

    def _stop(self) -> None:
        kept = "its state is saved and the next run goes on from there" if self.saving else "nothing of it was saved"
        steps = self.spec.training.steps
        raise StoppedError(f"{self.spec.path}: stopped by SIGTERM after step {self.at.step} of {steps}; {kept}")

    def _prune(self) -> None:
        """When the ramp is over, then at every epoch's end and at the run's; the step keeps pruned weights at 0."""
        start = self.step.schedule.warmup + self.step.schedule.ramp
        over = self.at.step % self.per_epoch == 0 or self.at.step == self.spec.training.steps
        if self.step.pruner is not None and (self.at.step == start or (over and self.at.step > start)):
            self.step.pruner.prune()

    def _note(self, batch: Batch) -> None:
        """One more entry of the history: means since the last one, and the state of things at this step."""
        last, schedule = self.at.step - 1, self.step.schedule
        level, rate = schedule.level(last), schedule.learning_rate(last)
        eps = self.spec.eps_value * level
        epoch = round(self.at.step / self.per_epoch, 4)
        entry = {"epoch": epoch, "step": self.at.step, "eps": eps, "level": level, "lr": rate}
        if self.spec.eps != "none":
            ball = Ball(batch.x, eps, self.step.objective.norm)
            entry["unstable_relus"] = float(unstable_relus(self.net, ball))
        self.at.history.append(entry | self.at.totals.means())
        self.at.totals = Totals()

    def _check(self) -> None:
        """Stops a run whose loss is no longer finite, before anything of it is saved."""
        bad = int(self.step.first_bad)
        if bad < 0:
            return
        t, method = self.spec.training, self.spec.method.name
        kept = f"; the last good state is {self.saving.path}" if self.saving and self.saving.path.exists() else ""
        raise UserError(
            f"{self.spec.path}: the loss of the method '{method}' is no longer finite at step {bad} of {t.steps}; "
            f"lower the learning rate ({t.lr}) or lengthen the ramp ({t.ramp} steps) of schedule "
            f"'{self.spec.schedule}'{kept}"
        )

    def _resume(self) -> None:
        if self.saving is None:
            return
        found, line = load_state(self.saving.path, self.saving.key, self.net, self.step.optimizer, self.step.noise)
        print(f"{self.spec.path}: {line}", file=sys.stderr)
        if found is not None:
            self.at = found
            self.step.done.fill_(found.step)
            if self.step.pruner is not None:
                self.step.pruner.resume()

    def _save(self) -> None:
        self._check()
        save_state(self.saving.path, self.saving.key, self.net, self.step.optimizer, self.step.noise, self.at)


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
