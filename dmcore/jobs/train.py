"""Train one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dmcore.checkpoint import save_model
from dmcore.data import load_images
from dmcore.device import out_of_memory
from dmcore.errors import UserError
from dmcore.files import digest, remove, write_json
from dmcore.provenance import provenance
from dmcore.source import code_hash
from dmcore.spec import ModelSpec
from dmcore.training.loop import SAVE_EVERY, Saving, train


def train_job(
    spec: ModelSpec,
    data: Path,
    model: Path,
    record: Path,
    device: torch.device,
    save_every: float = SAVE_EVERY,
    cuda_graphs: bool = False,
) -> dict[str, Any]:
    """Trains one model and writes it with its training record; returns the record.

    A state is saved beside the model every ``save_every`` seconds, and on SIGTERM, and taken up by the next call after
    a kill; it is removed once the record is there.

    Raises:
        UserError: a bad data file, a loss that is not finite, or too little memory.
        StoppedError: on SIGTERM.
    """
    images = load_images(data, spec.dataset_name)
    made = provenance(device)
    depends_on = {
        "spec": spec.to_dict(),
        "code": code_hash("dmcore.training.loop", uses=spec.uses),
        "data": images.info["sha256"],
        "on": {key: made[key] for key in ("torch", "device", "threads")} | {"cuda_graphs": cuda_graphs},
    }
    saving = Saving(model.parent / f"unfinished-{spec.hash}.safetensors", digest(depends_on), save_every)
    try:
        trained = train(spec, images, device, saving, cuda_graphs)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(_memory(spec, device, error)) from error
    weights = save_model(model, trained.net, spec)
    content = {
        "model": spec.path,
        "spec_hash": spec.hash,
        "model_sha256": weights,
        "seconds": round(trained.seconds, 3),
        "cpu_seconds": round(trained.cpu_seconds, 3),
        **{f"{split}_accuracy": share for split, share in trained.accuracies.items()},
        "parameters": sum(p.numel() for p in trained.net.parameters()),
        "data": images.info,
        "provenance": made,
        "spec": spec.to_dict(),
        "history": trained.history,
    }
    write_json(record, content)
    remove(saving.path)
    return content


def _memory(spec: ModelSpec, device: torch.device, error: BaseException) -> str:
    """What to lower where a training needs more memory than there is."""
    where = f"schedules.{spec.schedule} of the config (batch {spec.training.batch}, method '{spec.method.name}')"
    reason = " ".join(str(error).split())[:120]
    return (
        f"{spec.path}: {device} is out of memory ({reason}); lower 'batch' in {where}, or let fewer jobs share the GPU "
        "(gpu_slots in the profile); what was saved is kept"
    )
