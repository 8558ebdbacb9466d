"""Files that are whole or not there: atomic writes, hashes, seals."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dmcore.errors import UserError
from dmcore.recognise import carries, kind_of

PART = ".part"
"""What temporary files end with; their names begin with a dot, then the name of the file to be."""
SEAL = "seal"
"""The key under which JSON tells the hash of all bytes around it."""
UNSEALED = "0" * 64
_PLACE = re.compile(rb'"seal": ?"([0-9a-f]{64})"')


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; renamed to it if the block ends well, else removed.

    What killed writers of ``path`` have left behind is removed first.

    Raises:
        UserError: the disk is full, or the folder cannot be written; what stood at ``path`` is still there.
    """
    path = Path(path)
    handle, temporary = None, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        handle, temporary = _locked_part(path)
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
        if handle is not None:
            os.close(handle)


def _locked_part(path: Path) -> tuple[int, Path]:
    """A new temporary file, which its writer holds locked: the kernel frees the lock of one that is killed."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PART, dir=path.parent)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another writer took it for a leftover before it was locked


def remove_leftovers(path: Path) -> None:
    """Removes the temporary files of writers of ``path`` that were killed; those of living writers stay."""
    for entry in os.scandir(path.parent):
        if entry.name.startswith(f".{path.name}.") and entry.name.endswith(PART):
            with suppress(OSError), open(entry.path, "r+b") as part:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(entry.path)


def remove(path: Path | str) -> None:
    """Removes a file, if it is there, and what killed writers of it have left behind."""
    Path(path).unlink(missing_ok=True)
    remove_leftovers(Path(path))


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


class BadFileError(UserError):
    """A file that is damaged, or is something else than what is needed.

    Attributes:
        path: the file's.
        ours: whether dmcore wrote what is there.
        wrong: what is wrong, without advice.
    """

    def __init__(self, path: Path | str, wrong: str, needed: str, mark: re.Pattern[bytes]) -> None:
        """Looks whether the file carries our ``mark``.

        Args:
            wrong: what is wrong with one of ours, as "is damaged: its end is missing".
            needed: what is needed in its place, with its article.
        """
        self.path = Path(path)
        self.ours = carries(self.path, mark)
        self.wrong = f"{path} {wrong}" if self.ours else f"{path} is {kind_of(self.path)}, not {needed}"
        again = "; restore a copy of it, or write it again with the command that wrote it"
        super().__init__(self.wrong + (again if self.ours else ""))


def sha256(data: bytes | memoryview) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold; equal for equal content, whatever the order of keys."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())[:16]
