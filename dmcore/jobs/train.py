"""Train one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dmcore.checkpoint import save_model
from dmcore.data import load_images
from dmcore.files import write_json
from dmcore.provenance import provenance
from dmcore.spec import ModelSpec
from dmcore.training.loop import train


def train_job(spec: ModelSpec, data: Path, model: Path, record: Path, device: torch.device) -> dict[str, Any]:
    """Trains one model and writes it with its training record; returns the record."""
    images = load_images(data)
    trained = train(spec, images, device)
    weights = save_model(model, trained.net, spec)
    content = {
        "model": spec.path,
        "spec_hash": spec.hash,
        "model_sha256": weights,
        "seconds": round(trained.seconds, 3),
        "test_accuracy": trained.test_accuracy,
        "parameters": sum(p.numel() for p in trained.net.parameters()),
        "data": images.info,
        "provenance": provenance(device),
        "spec": spec.to_dict(),
        "history": trained.history,
    }
    write_json(record, content)
    return content
