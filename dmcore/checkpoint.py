"""Trained models on disk: weights in a safetensors file, with the whole specification of the run that made them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from dmcore import tensorfile
from dmcore.errors import UserError
from dmcore.nets import Network, build_net
from dmcore.spec import ModelSpec

KIND = "dmcore.model"
NEEDED = (
    "a model that `dmcore train` wrote: use a network of your own from Python (README.md, The library), or as an ONNX "
    "file, *.onnx, with certify, attack, radius and bracket"
)


def save_model(path: Path, net: Network, spec: ModelSpec) -> str:
    """Writes the weights and the spec; returns the hash of the weights."""
    return tensorfile.save(path, KIND, net.state_dict(), {"spec": json.dumps(spec.to_dict())})


def load_model(path: Path, device: torch.device | str = "cpu") -> tuple[Network, ModelSpec, str]:
    """The net in evaluation mode on ``device``, its spec, and the hash of its weights.

    Raises:
        UserError: the file is missing, truncated, altered, not one of ours, or does not fit its own architecture.
    """
    tensors, meta = tensorfile.load(path, KIND, NEEDED)
    try:
        spec = ModelSpec.from_dict(json.loads(meta["spec"]))
    except (UserError, ValueError, KeyError) as error:
        raise UserError(f"{path} is a model of another version of dmcore ({error}): train it again") from error
    pruning = spec.method.pruning
    net = build_net(**spec.network, pruned_relus=pruning is not None and pruning.relus is not None)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit the architecture '{spec.arch}' ({reason}): train it again") from error
    return net.to(device).eval(), spec, meta["sha256"]
