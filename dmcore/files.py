"""Files that are whole or not there: atomic writes, hashes, seals."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dmcore.errors import UserError
from dmcore.recognise import RECORD, carries, kind_of

PART = ".part"
"""What temporary files end with; their names begin with a dot, then the name of the file to be."""
SEAL = "seal"
"""The key under which JSON tells the hash of all bytes around it."""
UNSEALED = "0" * 64
_TARGET = re.compile(
    r"data/[^/]+\.safetensors|results/(?:[^/]+/){5}seed\d+/(?:model\.safetensors|training\.json"
    r"|(?:certify|attack|radius)/[^/]+/[^/]+/n\d+\.json)"
)
"""What :func:`remake` has commands for: the files that the rules read again."""
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


def check_writable(path: Path | None, mark: re.Pattern[bytes]) -> None:
    """Refuses, before any work, a path that no file can be written to, or where another's is; makes nothing.

    Args:
        path: None is passed over.
        mark: what a file carries that the same command wrote, and may write again.

    Raises:
        UserError: the path is a folder, or a file without the mark; what should be its folder is a file, or cannot be
            written.
    """
    if path is None:
        return
    try:
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder; name a file in it")
        if not folder.is_dir():
            raise NotADirectoryError(0, f"{_shown(folder)} is a file, not a folder")
        if path.is_file() and path.stat().st_size and not carries(path, mark):
            raise FileExistsError(0, f"it is {kind_of(path)} that this command did not write; name another file")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; nothing was started") from error


def _shown(path: Path) -> Path:
    """From the working folder, where it is in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


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


def refused(path: Path | str, wrong: str, needed: str, mark: re.Pattern[bytes]) -> UserError:
    """The refusal of a file that is damaged, if it carries our mark, or else is something that we did not write.

    Args:
        wrong: what is wrong with one of ours, as "is damaged: its end is missing".
        needed: what is needed in its place, with its article.
    """
    path = Path(path)
    if carries(path, mark):
        return UserError(f"{path} {wrong}; {remake(path)}")
    instead = f"; {remake(path, ours=False)}" if _is_target(path) else ""
    return UserError(f"{path} is {kind_of(path)}, not {needed}{instead}")


def remake(path: Path | str, ours: bool = True) -> str:
    """What to do about a damaged file, or one that has the place of another: of the pipeline's own, the commands.

    Args:
        ours: dmcore wrote what is there, so that Snakemake may replace it.
    """
    path = Path(path)
    if path.name.startswith("unfinished"):
        return "it will be written anew"
    if not _is_target(path):
        return "restore a copy of it, or write it again with the command that wrote it"
    path = _shown(path)
    name = shlex.quote(str(path))
    make = f"snakemake --cores 1 {'--force ' if ours else ''}{name}"
    cost = " (this trains the model again)" if path.name in ("model.safetensors", "training.json") else ""
    if path.parts[0] == "data":  # by its age alone, all that was trained on it would be trained again
        cost, make = ", with an age at which nothing is trained again", f"{make} && touch -t 200001010000 {name}"
    return f"{'restore a copy of it, or' if ours else 'move it away and'} make it again{cost}: {make}"


def _is_target(path: Path) -> bool:
    """Whether a rule may make a file of this name."""
    return _TARGET.fullmatch(str(_shown(path))) is not None


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
        raise refused(path, f"is no intact record: {wrong}", "a record that dmcore wrote", RECORD)
    try:
        value: dict[str, Any] = json.loads(content)
    except RecursionError as error:  # ours is not, but a seal says nothing of who made it
        raise UserError(f"{path} is no record: it is nested too deeply") from error
    del value[SEAL]
    return value


def shipped(path: Path | str) -> Path:
    """The file or folder of that path in the working folder or, where only that one exists, beside this dmcore.

    So a workflow that runs in another folder finds what its repository brings along; a file of one's own goes first.
    """
    beside = Path(__file__).parents[1] / path
    return beside if beside.exists() and not Path(path).exists() else Path(path)


def sha256(data: bytes | memoryview) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """A short hash of anything that JSON can hold; equal for equal content, whatever the order of keys."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())[:16]
