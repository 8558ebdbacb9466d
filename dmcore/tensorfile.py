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
from dmcore.files import SEAL, UNSEALED, BadFileError, atomic, broken_seal, sealed, sha256
from dmcore.recognise import TENSORS

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


def load(path: Path | str, kind: str, needed: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads tensors and meta data, on the CPU.

    Args:
        needed: what to name in place of a file that is none of ours, with its article.

    Raises:
        UserError: no such file; truncated; not of ``kind``; any byte is another than was written.
    """
    path, needed = Path(path), needed or f"a {kind} file"
    if not path.is_file():
        raise UserError(f"{path} is a folder, not {needed}" if path.is_dir() else f"{path} does not exist")
    try:
        with path.open("rb") as file:
            wrong = broken_seal(_head(file))
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            if wrong is not None:
                raise BadFileError(path, f"is damaged: {wrong}", needed, TENSORS)
            if meta.get("kind") != kind:
                raise UserError(f"{path} is a {meta.get('kind')} file, not {needed}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise BadFileError(path, f"is truncated or damaged ({error})", needed, TENSORS) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if content_hash(tensors) != meta["sha256"]:
        raise BadFileError(path, "is damaged: its content does not match its own sha256", needed, TENSORS)
    return tensors, meta


def _head(file: IO[bytes]) -> bytes:
    """All that stands before the tensors: the header's length in eight bytes, and the header as JSON."""
    length = file.read(8)
    claimed = int.from_bytes(length, "little")
    return length + file.read(claimed if claimed <= LONGEST_HEADER else 0)


def content_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of tensors on the CPU: their names, types, shapes and values, and nothing of the file around them."""
    parts = [
        f"{name} {t.dtype} {tuple(t.shape)} {sha256(t.numpy().data.cast('B'))}" for name, t in sorted(tensors.items())
    ]
    return sha256("\n".join(parts).encode())
