"""The training loop, the only one: every method is an objective that it minimises (Algorithm 1)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dmcore.data import ImageSet, Split, pixels
from dmcore.domains.interval import unstable_relus
from dmcore.errors import UserError
from dmcore.nets import Network
from dmcore.nets.batch_norm import with_population
from dmcore.nets.ensemble import vote
from dmcore.nets.pruning import prune_relus, rarely_switching, relu_activity
from dmcore.perturbation import Ball
from dmcore.progress import progress_bar
from dmcore.signals import StoppedError, stoppable
from dmcore.spec import ModelSpec
from dmcore.training.captured import CapturedStep
from dmcore.training.plan import Plan
from dmcore.training.state import Progress, load_state, save_state
from dmcore.training.step import Learner, Step
from dmcore.training.team import teams

SAVE_EVERY = 60.0  # seconds of work that a kill may cost
ENTRIES = 20  # of the history, at the least; a long run has one an epoch
BLOCK = {"cpu": 1, "cuda": 50}  # steps between looks at the clock and the loss; on a GPU a look waits for the device


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
    run = Run(spec, images, device, saving, cuda_graphs)
    finish([run])
    return run.trained()


def finish(
    runs: Sequence[Run],
    deadline: float | None = None,
    done: Callable[[Run], object] = lambda run: None,
    stack: int = 1,
) -> None:
    """Does all the steps that are left of some runs, in turns; on a GPU each has a stream of its own, and they overlap.

    Each run computes what it computes alone, to the bit unless it is stacked. What goes wrong with one of several is
    left in its ``error``.

    Args:
        runs: by priority.
        deadline: by :func:`time.monotonic`. Runs that cannot be done by then are put aside, the last ones first, with
            their states saved and the others so much faster.
        done: is told of each run that has ended well, when it has.
        stack: so many runs of one :attr:`Run.kind`, at most, make their passes as one of a wider network. Sums are then
            added up in another order, and on a GPU N small networks hardly take longer than one.

    Raises:
        UserError: the only run cannot go on. What torch raises of it is raised, too.
        StoppedError: on SIGTERM, after the steps under way, with all states saved.
    """
    for run in runs:
        run.resume()
    left = sum(run.left for run in runs)
    name = runs[0].spec.path if len(runs) == 1 else f"{len(runs)} models"
    with stoppable() as stopper, progress_bar(left, name) as bar:
        active = {team: team.blocks() for team in teams(runs, stack)}
        plan = Plan(deadline) if deadline is not None else None
        wall, cpu = time.perf_counter(), time.process_time()
        while active:
            for team, blocks in list(active.items()):
                members, before = list(team.runs), team.left
                goes_on = team.go_on(blocks)
                now, now_cpu = time.perf_counter(), time.process_time()
                for run in members:
                    run.at.seconds += (now - wall) / len(members)
                    run.at.cpu_seconds += (now_cpu - cpu) / len(members)
                wall, cpu = now, now_cpu
                bar.update((before - team.left) * len(members))
                for run in members:
                    if run.error is not None:
                        _tell(run, run.error, alone=len(runs) == 1)
                    elif not goes_on:
                        done(run)
                if not goes_on:
                    del active[team]
            if stopper.asked and active:
                asked = [run for team in active for run in team.runs]
                for team, blocks in active.items():
                    team.put_aside(blocks)
                raise StoppedError("; ".join(run.where_it_stopped() for run in asked))
            for late in plan.late(list(active)) if plan is not None else []:
                late.put_aside(active.pop(late))


def _tell(run: Run, error: Exception, alone: bool) -> None:
    if alone:
        raise error
    print(error if isinstance(error, UserError) else f"{run.spec.path}: {error}", file=sys.stderr)


class Run:
    """One training: its model, and what is kept of its steps.

    Args:
        urgent: a GPU does its work before that of others.

    Attributes:
        stream: on which a GPU does its work.
        stacked: whether it makes its passes together with others.
        error: what went wrong with it among others (:func:`finish`).
    """

    def __init__(
        self,
        spec: ModelSpec,
        images: ImageSet,
        device: torch.device,
        saving: Saving | None = None,
        cuda_graphs: bool = False,
        urgent: bool = False,
    ) -> None:
        shape = tuple(images.train.x.shape[1:])
        if list(shape) != list(spec.dataset["shape"]):
            wanted = spec.dataset["shape"]
            raise UserError(f"prepared images are {shape}, the spec says {wanted}: prepare the data again")
        self.spec, self.images, self.device, self.saving = spec, images, device, saving
        self.stream = torch.cuda.Stream(priority=-int(urgent)) if device.type == "cuda" else None
        self.make_step = CapturedStep if cuda_graphs and device.type == "cuda" else Step
        with torch.cuda.stream(self.stream):
            self.learner = Learner(spec, images.train.to(device), device, self.make_step.recordable)
        self.at = Progress(totals=self.learner.totals)
        self.per_epoch = self.learner.batches.per_epoch
        self.note_every = max(1, min(self.per_epoch, spec.training.steps // ENTRIES))
        self.stacked = False
        self.error: Exception | None = None
        self._saved = time.perf_counter()

    @property
    def net(self) -> Network:
        """The network as it is now."""
        return self.learner.net

    @property
    def left(self) -> int:
        """The number of steps that are still to be made."""
        return self.spec.training.steps - self.at.step

    @property
    def kind(self) -> str:
        """What those that can be stacked have in common: data, network, schedule, what is bounded, where they are."""
        method, terms = self.spec.method, self.learner.objective.terms
        bounded = [(term.kind, term.ramp, term.options) for term, part in terms if part.NEEDS_EPS]
        data = self.images.info.get("sha256"), self.spec.dataset
        return repr((data, self.spec.network, self.spec.training, bounded, method.attack, self.at.step))

    def made(self, count: int) -> None:
        """Takes note of so many more steps.

        Raises:
            UserError: the loss of one was not finite.
        """
        self.at.step += count
        self._check()
        self._prune()
        if self.at.step % self.note_every == 0 or not self.left:
            self._note()
        if self.saving is not None and time.perf_counter() - self._saved > self.saving.every:
            self.save()

    def trained(self) -> Trained:
        """The net at the end, without BatchNorms, pruned if the method says so, and what was measured.

        Raises:
            UserError: the run could not go on.
        """
        if self.error is not None:
            raise self.error
        pruning, parts = self.spec.method.pruning, self.learner.batches.data.x.split(1000)
        with torch.cuda.stream(self.stream):
            net = with_population(self.net, map(pixels, parts))
            if pruning is not None and pruning.relus is not None:
                activity = relu_activity(net, map(pixels, parts))
                net = prune_relus(net, *rarely_switching(activity, pruning.relus))
            accuracies = _accuracies(net, self.images, self.spec, self.device)
        return Trained(net, self.at.history, self.at.seconds, self.at.cpu_seconds, accuracies)

    def where_it_stopped(self) -> str:
        """Says how far the run was when it was told to stop, and what is kept."""
        if self.error is not None:
            return str(self.error)
        kept = "its state is saved and the next run goes on from there" if self.saving else "nothing of it was saved"
        steps = self.spec.training.steps
        return f"{self.spec.path}: stopped by SIGTERM after step {self.at.step} of {steps}; {kept}"

    def resume(self) -> None:
        """Takes up a saved state if there is one."""
        if self.saving is None:
            return
        path, key, learner = self.saving.path, self.saving.key, self.learner
        with torch.cuda.stream(self.stream):
            found, line = load_state(path, key, learner.net, learner.optimizer, learner.noise)
            print(f"{self.spec.path}: {line}", file=sys.stderr)
            if found is not None:
                self.at = found
                learner.resume(found.step, found.totals)

    def save(self) -> None:
        """Writes the state, if that was asked for and the loss is finite."""
        if self.saving is not None:
            path, key, learner = self.saving.path, self.saving.key, self.learner
            with torch.cuda.stream(self.stream):
                self._check()
                save_state(path, key, learner.net, learner.optimizer, learner.noise, self.at)
            self._saved = time.perf_counter()

    def block(self) -> int:
        """How many steps can be made before something else is due."""
        ends = [self.spec.training.steps, (self.at.step // self.note_every + 1) * self.note_every]
        ends.append((self.at.step // self.per_epoch + 1) * self.per_epoch)
        start = self.learner.schedule.warmup + self.learner.schedule.ramp
        ends += [start] if self.at.step < start else []
        return min(BLOCK[self.device.type], *(end - self.at.step for end in ends))

    def _prune(self) -> None:
        """When the ramp is over, then at every epoch's end and at the run's; the step keeps pruned weights at 0."""
        start = self.learner.schedule.warmup + self.learner.schedule.ramp
        over = self.at.step % self.per_epoch == 0 or not self.left
        if self.learner.pruner is not None and (self.at.step == start or (over and self.at.step > start)):
            self.learner.pruner.prune()

    def _note(self) -> None:
        """One more entry of the history: means since the last one, and the state of things at this step."""
        last, schedule = self.at.step - 1, self.learner.schedule
        ramp, rate = schedule.ramp_factor(last), schedule.learning_rate(last)
        eps = self.spec.eps_value * ramp
        epoch = round(self.at.step / self.per_epoch, 4)
        entry = {"epoch": epoch, "step": self.at.step, "eps": eps, "ramp": ramp, "lr": rate}
        if self.spec.eps != "none":
            ball = Ball(self.learner.x, eps, self.learner.objective.norm)
            entry["unstable_relus"] = float(unstable_relus(self.net, ball))
        self.at.history.append(entry | self.at.totals.means())
        self.at.totals.clear()

    def _check(self) -> None:
        """Stops a run whose loss is no longer finite, before anything of it is saved."""
        bad = int(self.learner.first_bad)
        if bad < 0:
            return
        t, method = self.spec.training, self.spec.method.name
        kept = f"; the last good state is {self.saving.path}" if self.saving and self.saving.path.exists() else ""
        raise UserError(
            f"{self.spec.path}: the loss of the method '{method}' is no longer finite at step {bad} of {t.steps}; "
            f"lower the learning rate ({t.lr}) or lengthen the ramp ({t.ramp} steps) of schedule "
            f"'{self.spec.schedule}'{kept}"
        )


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
