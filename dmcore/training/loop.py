"""The training loop, the only one: every method is an objective that it minimises (Algorithm 1)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dmcore.data import ImageSet, Split
from dmcore.errors import UserError
from dmcore.nets import Network, build_net
from dmcore.progress import progress
from dmcore.regularizers import Batch
from dmcore.spec import ModelSpec
from dmcore.training.objective import Objective
from dmcore.training.schedule import Schedule

OPTIMIZERS = {"adam": torch.optim.Adam}


@dataclass(frozen=True)
class Trained:
    """A trained net with its history (one entry an epoch), the seconds spent, and its accuracy on the test set."""

    net: Network
    history: list[dict[str, float]]
    seconds: float
    test_accuracy: float


def train(spec: ModelSpec, images: ImageSet, device: torch.device) -> Trained:
    """Trains one model; the same spec, seed and device give the same weights.

    The data set is moved to the device as a whole, and nothing waits for the device inside an epoch.

    Raises:
        UserError: the data do not fit the spec; the loss stopped being finite.
    """
    shape = tuple(images.train.x.shape[1:])
    if list(shape) != list(spec.dataset["shape"]):
        raise UserError(f"prepared images are {shape}, the spec says {spec.dataset['shape']}: prepare the data again")
    net = seeded_net(spec).to(device)
    objective = Objective(spec.method)
    t = spec.training
    schedule = Schedule(t.steps, t.warmup, t.ramp, t.lr, t.lr_drops)
    optimizer = OPTIMIZERS[t.optimizer](net.parameters(), lr=t.lr, fused=True)
    data = images.train.to(device)
    history: list[dict[str, float]] = []
    started = time.perf_counter()
    totals = Totals()
    per_epoch = len(data) // t.batch
    noise = torch.Generator(device).manual_seed(spec.seed)
    for step, (x, y) in progress(enumerate(batches(data, t.batch, t.steps, spec.seed)), t.steps, spec.path):
        level = schedule.level(step)
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate(step)
        batch = Batch(net, x, y, spec.eps_value * level, noise)
        loss, parts = objective(batch, level)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        totals.add(loss, parts, batch)
        if (step + 1) % per_epoch == 0 or step + 1 == t.steps:
            entry = {"epoch": len(history) + 1, "step": step + 1, "eps": batch.eps, "level": level}
            history.append(entry | {"lr": schedule.learning_rate(step)} | totals.means())
            totals = Totals()
            if not history[-1]["loss"] < float("inf"):
                raise UserError(
                    f"{spec.path}: the loss is no longer finite in the epoch ending at step {step + 1}; "
                    f"lower the learning rate ({t.lr}) or lengthen the ramp ({t.ramp} steps) of schedule "
                    f"'{spec.schedule}'"
                )
    seconds = time.perf_counter() - started
    return Trained(net, history, seconds, accuracy(net, images.test.to(device)))


def seeded_net(spec: ModelSpec) -> Network:
    """The net as it is before the first step; leaves torch's own random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        normalize = spec.dataset.get("normalize") or {}
        return build_net(spec.arch, tuple(spec.dataset["shape"]), spec.dataset["classes"], **normalize)


def batches(data: Split, size: int, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """``steps`` random batches, each epoch in a fresh order that only the seed decides; pixels in [0, 1].

    What does not fill a batch at an epoch's end is left out of that epoch.
    """
    if len(data) < size:
        raise UserError(f"batch size {size}, but only {len(data)} training points")
    per_epoch = len(data) // size
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(data), generator=generator).to(data.x.device)
        index = order[step % per_epoch * size :][:size]
        yield data.x[index].float().div_(255), data.y[index]


@torch.no_grad()
def accuracy(net: Network, data: Split, size: int = 1000) -> float:
    """The share of points classified right."""
    right = [
        (net(x.float().div(255)).argmax(1) == y).sum()
        for x, y in zip(data.x.split(size), data.y.split(size), strict=True)
    ]
    return int(torch.stack(right).sum()) / len(data)


class Totals:
    """Sums over the steps of an epoch, kept on the device until someone asks."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, loss: Tensor, parts: dict[str, Tensor], batch: Batch) -> None:
        """Takes in one step."""
        values = {"loss": loss.detach(), **parts, "accuracy": _share_right(batch.logits, batch.y)}
        if batch.worst_logits is not None:
            values["robust_accuracy"] = _share_right(batch.worst_logits, batch.y)
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The mean of each value over the steps that had it."""
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}


def _share_right(logits: Tensor, y: Tensor) -> Tensor:
    return (logits.detach().argmax(1) == y).float().mean()
