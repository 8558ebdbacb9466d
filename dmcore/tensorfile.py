"""Tensors in a safetensors file that knows what it is and whether it is intact. Nothing is ever unpickled."""

from __future__ import annotations

import os
import re
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dmcore.errors import UserError
from dmcore.files import atomic, sha256


def save(path: Path | str, kind: str, tensors: dict[str, Tensor], meta: dict[str, str]) -> str:
    """Writes tensors atomically, with their kind, ``meta`` and a hash of their content; returns the hash."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = content_hash(tensors)
    with atomic(path) as temporary:
        try:
            safetensors.torch.save_file(tensors, temporary, {**meta, "kind": kind, "sha256": content})
        except SafetensorError as error:  # how it reports a full disk
            number = re.search(r"\(os error (\d+)\)", str(error))
            raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))) from error
    return content


def load(path: Path | str, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads tensors and meta data, on the CPU.

    Raises:
        UserError: no such file; truncated; not of ``kind``; its content differs from the hash it was written with.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is a folder, not a {kind} file" if path.is_dir() else f"{path} does not exist")
    mend = "remove it and make it again"
    try:
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            if meta.get("kind") != kind:
                raise UserError(f"{path} is not a {kind} file, but {meta.get('kind', 'a foreign safetensors file')}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or no safetensors file ({error}): {mend}") from error
    if content_hash(tensors) != meta.get("sha256"):
        raise UserError(f"{path} is damaged: its content does not match its own sha256; {mend}")
    return tensors, meta


def content_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of tensors on the CPU: their names, types, shapes and values, and nothing of the file around them."""
    parts = [
        f"{name} {t.dtype} {tuple(t.shape)} {sha256(memoryview(t.numpy()).cast('B'))}"
        for name, t in sorted(tensors.items())
    ]
    return sha256("\n".join(parts).encode())
