"""The pipeline's files: sealed records, what the repository brings along, and what is never to be lost."""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmcore.errors import UserError
from dmcore.files import SEAL, UNSEALED, BadFileError, broken_seal, sealed, write_bytes
from dmcore.recognise import carries, kind_of

RECORD = re.compile(rb'"(?:spec_hash|seal)": "[0-9a-f]{16}')
"""The mark of a JSON record of ours, likewise."""
ONNX = re.compile(rb"\A\x08.\x12\x06dmcore", re.S)
INSTANCES = re.compile(rb"\Aonnx/net\.onnx,vnnlib/")
BRACKET = re.compile(rb"\A[^\n]+, l\w+, \d+ test points\n\n\|")
PICTURE = re.compile(rb"\A\x89PNG.*Software\0dmcore", re.S)
_TARGET = re.compile(
    r"data/[^/]+\.safetensors|results/(?:[^/]+/){5}seed\d+/(?:model\.safetensors|training\.json"
    r"|(?:certify|attack|radius)/[^/]+/[^/]+/n\d+\.json)"
)
"""What :func:`remake` has commands for: the files that the rules read again."""


def record(key: str) -> re.Pattern[bytes]:
    """The mark of a JSON record with this key among its first ones, which no other command's record has there."""
    return re.compile(rb'"spec_hash": "[^{}\[\]]*"%s": ' % re.escape(key.encode()))


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


def advised(error: UserError) -> str:
    """What a command says of an error: of a file that a rule makes, also how to make it again."""
    if not isinstance(error, BadFileError) or not _is_target(error.path):
        return str(error)
    return f"{error.wrong}; {remake(error.path, error.ours)}"


def remake(path: Path | str, ours: bool = True) -> str:
    """What to do about a damaged file, or one that has the place of another: of the pipeline's own, the commands.

    Args:
        ours: dmcore wrote what is there, so that Snakemake may replace it.
    """
    path = Path(path)
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
        raise BadFileError(path, f"is no intact record: {wrong}", "a record that dmcore wrote", RECORD)
    try:
        value: dict[str, Any] = json.loads(content)
    except RecursionError as error:  # ours is not, but a seal says nothing of who made it
        raise UserError(f"{path} is no record: it is nested too deeply") from error
    del value[SEAL]
    return value


def shipped(path: Path | str) -> Path:
    """The file or folder of that path in the working folder or, where only that one exists, beside this code.

    So a workflow that runs in another folder finds what its repository brings along; a file of one's own goes first.
    """
    beside = Path(__file__).parents[2] / path
    return beside if beside.exists() and not Path(path).exists() else Path(path)
