"""Tensors in a safetensors file that knows what it is and whether it is intact. Nothing is ever unpickled.

Every byte of it counts: ``sha256`` is a hash of the tensors, and the seal one of all that stands before them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dmcore.errors import UserError
from dmcore.files import SEAL, UNSEALED, atomic, broken_seal, remake, sealed, sha256

LONGEST_HEADER = 100_000_000
"""Bytes; safetensors itself reads no more."""


def save(path: Path | str, kind: str, tensors: dict[str, Tensor], meta: dict[str, str]) -> str:
    """Writes tensors atomically, with their kind, ``meta`` and a hash of their content; returns the hash."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = content_hash(tensors)
    with atomic(path) as temporary:
        try:
            safetensors.torch.save_file(tensors, temporary, {**meta, "kind": kind, "sha256": content, SEAL: UNSEALED})
        except SafetensorError as error:  # how it reports a full disk
            number = re.search(r"\(os error (\d+)\)", str(error))
            raise (OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))) from error
        with temporary.open("r+b") as file:
            head = sealed(_head(file))
            file.seek(0)
            file.write(head)
    return content


def load(path: Path | str, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads tensors and meta data, on the CPU.

    Raises:
        UserError: no such file; truncated; not of ``kind``; any byte is another than was written.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is a folder, not a {kind} file" if path.is_dir() else f"{path} does not exist")
    try:
        with path.open("rb") as file:
            wrong = broken_seal(_head(file))
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            if SEAL not in meta and "sha256" not in meta:
                raise UserError(f"{path} is not a {kind} file, but a foreign safetensors file")
            if wrong is not None:
                raise UserError(f"{path} is damaged: {wrong}; {remake(path)}")
            if meta["kind"] != kind:
                raise UserError(f"{path} is not a {kind} file, but {meta['kind']}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is truncated or no safetensors file ({error}); {remake(path)}") from error
    if content_hash(tensors) != meta["sha256"]:
        raise UserError(f"{path} is damaged: its content does not match its own sha256; {remake(path)}")
    return tensors, meta


def _head(file: IO[bytes]) -> bytes:
    """All that stands before the tensors: the header's length in eight bytes, and the header as JSON."""
    length = file.read(8)
    claimed = int.from_bytes(length, "little")
    return length + file.read(claimed if claimed <= LONGEST_HEADER else 0)


def content_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of tensors on the CPU: their names, types, shapes and values, and nothing of the file around them."""
    parts = [
        f"{name} {t.dtype} {tuple(t.shape)} {sha256(memoryview(t.numpy()).cast('B'))}"
        for name, t in sorted(tensors.items())
    ]
    return sha256("\n".join(parts).encode())
