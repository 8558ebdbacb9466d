"""Train one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dmcore.checkpoint import save_model
from dmcore.data import load_images
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

    A state is saved beside the model every ``save_every`` seconds and taken up by the next call after a kill; it is
    removed once the record is there.
    """
    images = load_images(data)
    made = provenance(device)
    depends_on = {
        "spec": spec.to_dict(),
        "code": code_hash("dmcore.training.loop"),
        "data": images.info["sha256"],
        "on": {key: made[key] for key in ("torch", "device", "threads")} | {"cuda_graphs": cuda_graphs},
    }
    saving = Saving(model.parent / f"unfinished-{spec.hash}.safetensors", digest(depends_on), save_every)
    trained = train(spec, images, device, saving, cuda_graphs)
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
