"""Train models."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dmcore.checkpoint import save_model
from dmcore.data import load_images
from dmcore.device import out_of_memory
from dmcore.errors import UserError
from dmcore.files import digest, remove
from dmcore.fusion import can_fuse, fusion
from dmcore.spec import ModelSpec
from dmcore.training.loop import SAVE_EVERY, Run, Saving, finish
from doublemargin.experiment.provenance import provenance
from doublemargin.experiment.source import code_hash
from doublemargin.files import write_json

WORTH_COMPILING = 1000  # steps; compiling takes 5 to 25 s, once for all runs on a machine


class Task(NamedTuple):
    """A model to train, the prepared data, and where its weights and its training record are written."""

    spec: ModelSpec
    data: Path
    model: Path
    record: Path


def train_jobs(
    tasks: Sequence[Task],
    device: torch.device,
    save_every: float = SAVE_EVERY,
    cuda_graphs: bool = False,
    deadline: float | None = None,
    fused: bool = False,
    stack: int = 1,
) -> list[dict[str, Any]]:
    """Trains models together, and writes each when it is done; returns the records of those that are.

    A state is saved beside each model every ``save_every`` seconds, and on SIGTERM, and taken up by the next call after
    a kill; it is removed once the record is there.

    Args:
        tasks: by priority (:func:`dmcore.training.loop.finish`).
        cuda_graphs: on a GPU, replay each step as a graph.
        deadline: by :func:`time.monotonic`; what cannot be done by then is put aside, its state saved.
        fused: compile chains of element-wise operations (:mod:`dmcore.fusion`), if there is a compiler and some run is
            long enough to pay for it. Weights may differ in their last bits from those without.
        stack: so many models of one kind, at most, make their passes together (:func:`dmcore.training.loop.finish`).

    Raises:
        UserError: a bad data file, too little memory, or the loss of the only run is not finite.
        StoppedError: on SIGTERM.
    """
    images = {task.data: load_images(task.data, task.spec.dataset_name).to(device) for task in tasks}
    steps = [task.spec.training.steps for task in tasks]
    fewest, cuda_graphs = min(steps), cuda_graphs and device.type == "cuda"
    fused = fused and max(steps) >= WORTH_COMPILING and _can_fuse(device)
    made = provenance(device) | {"cuda_graphs": cuda_graphs, "fused": fused}
    on = {key: made[key] for key in ("torch", "device", "threads", "cuda_graphs", "fused")} | {"stack": stack > 1}
    runs = {}
    for task in tasks:
        spec, data = task.spec, images[task.data]
        code = code_hash("dmcore.training.loop", uses=spec.uses)
        depends_on = {"spec": spec.to_dict(), "code": code, "data": data.info["sha256"], "on": on}
        saving = Saving(task.model.parent / f"unfinished-{spec.hash}.safetensors", digest(depends_on), save_every)
        runs[Run(spec, data, device, saving, cuda_graphs, spec.training.steps > 2 * fewest)] = task
    records = []

    def write(run: Run) -> None:
        records.append(_write(run, runs[run], made))

    try:
        with fusion(fused):
            finish(list(runs), deadline, write, stack)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(_memory(tasks[0].spec, device, error)) from error
    return records


def _can_fuse(device: torch.device) -> bool:
    found = can_fuse(device)
    if not found:
        print(f"no working compiler for {device.type}: the operations are not fused", file=sys.stderr)
    return found


def _write(run: Run, task: Task, made: dict[str, Any]) -> dict[str, Any]:
    spec, trained = task.spec, run.trained()
    weights = save_model(task.model, trained.net, spec)
    content = {
        "model": spec.path,
        "spec_hash": spec.hash,
        "model_sha256": weights,
        "seconds": round(trained.seconds, 3),
        "cpu_seconds": round(trained.cpu_seconds, 3),
        **{f"{split}_accuracy": share for split, share in trained.accuracies.items()},
        "parameters": sum(p.numel() for p in trained.net.parameters()),
        "data": run.images.info,
        "provenance": made | ({"stacked": True} if run.stacked else {}),
        "spec": spec.to_dict(),
        "history": trained.history,
    }
    write_json(task.record, content)
    if run.saving is not None:
        remove(run.saving.path)
    return content


def _memory(spec: ModelSpec, device: torch.device, error: BaseException) -> str:
    """What to lower where a training needs more memory than there is."""
    where = f"schedules.{spec.schedule} of the config (batch {spec.training.batch}, method '{spec.method.name}')"
    reason = " ".join(str(error).split())[:120]
    return (
        f"{spec.path}: {device} is out of memory ({reason}); lower 'batch' in {where}, or let fewer jobs share the GPU "
        "(gpu_slots in the profile); what was saved is kept"
    )
