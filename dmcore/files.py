"""Files that are whole or not there: atomic writes, hashes, seals."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmcore.errors import UserError

SEAL = "seal"
"""The key under which JSON tells the hash of all bytes around it."""
UNSEALED = "0" * 64
_PLACE = re.compile(rb'"seal": ?"([0-9a-f]{64})"')


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; renamed to it if the block ends well, else removed.

    Raises:
        UserError: the disk is full, or the folder cannot be written; what stood at ``path`` is still there.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's own mode would hide results from a group
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; nothing was replaced") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Writes a file atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Writes a text file atomically."""
    write_bytes(path, text.encode("utf-8"))


def sealed(content: bytes) -> bytes:
    """JSON whose key ``seal`` is :data:`UNSEALED`, with the hash of all its bytes put there."""
    (place,) = _PLACE.finditer(content)
    return content[: place.start(1)] + sha256(content).encode() + content[place.end(1) :]


def broken_seal(content: bytes) -> str | None:
    """What is wrong with bytes that :func:`sealed` gave, whichever of them was changed; None if they are whole."""
    places = list(_PLACE.finditer(content))
    if len(places) != 1:
        return "it has no seal: it is damaged, edited or of an older version"
    (place,) = places
    before = content[: place.start(1)] + UNSEALED.encode() + content[place.end(1) :]
    return None if sha256(before).encode() == place[1] else "it is not what its seal was made for"


def remake(path: Path | str) -> str:
    """What to do about a damaged file: of the pipeline's own, the commands that make it again."""
    path = Path(path)
    if path.name.startswith("unfinished-"):
        return "it will be written anew"
    if path.is_absolute() or path.parts[0] not in ("data", "results"):
        return "remove it and write it again with the command that wrote it"
    name = shlex.quote(str(path))
    commands = f"rm {name} && snakemake --cores 1 {name}"
    if path.parts[0] == "data":  # by its age alone, all that was trained on it would be trained again
        return (
            f"make it again, with an age at which nothing is trained again: {commands} && touch -t 200001010000 {name}"
        )
    cost = " (this trains the model again)" if path.name in ("model.safetensors", "training.json") else ""
    return f"restore a copy of it, or make it again{cost}: {commands}"


def write_json(path: Path | str, value: Mapping[str, Any]) -> None:
    """Writes a JSON object atomically, sealed; numbers that JSON does not know (nan, inf) are refused."""
    content = {key: part for key, part in value.items() if key != SEAL} | {SEAL: UNSEALED}
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, sealed(text.encode("utf-8")))


def read_json(path: Path | str) -> dict[str, Any]:
    """Reads what :func:`write_json` wrote, without the seal.

    Raises:
        UserError: it cannot be read, or any byte of it was changed.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    wrong = broken_seal(content)
    if wrong is not None:
        raise UserError(f"{path} is no intact record: {wrong}; {remake(path)}")
    try:
        value: dict[str, Any] = json.loads(content)
    except RecursionError as error:  # ours is not, but a seal says nothing of who made it
        raise UserError(f"{path} is no record: it is nested too deeply") from error
    del value[SEAL]
    return value


def sha256(data: bytes | memoryview) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold; equal for equal content, whatever the order of keys."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())[:16]
