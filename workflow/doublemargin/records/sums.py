"""``SHA256SUMS`` beside the tidy records, in sha256sum(1)'s format: what they are checked against when read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path

from dmcore.errors import UserError
from dmcore.files import sha256, write_bytes
from doublemargin.records.columns import FILES, SUMS

_LINE = re.compile(rf"[0-9a-f]{{64}}  (?:{'|'.join(map(re.escape, FILES.values()))})")


class Sums:
    """The sums that a folder holds.

    A file may have several, as it has while it is replaced, and a file that was removed may still have one.

    Raises:
        UserError: there are records but no sums; a line is none of sha256sum's, as after a merge conflict.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / SUMS
        there = [file for file in FILES.values() if (folder / file).exists()]
        if there and not path.exists():
            raise UserError(f"{path} is missing, with which the records beside it are checked; {_mend(folder, there)}")
        try:
            text = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error
        *lines, rest = text.split("\n")
        if wrong := [line for line in lines if not _LINE.fullmatch(line)] + [rest] * bool(rest):
            mend = _mend(folder, [*there, SUMS])
            raise UserError(f"{path} is damaged or edited: {wrong[0][:80]!r} is no file's sum; {mend}")
        self.lines = frozenset(lines)

    def expects(self, path: Path) -> bool:
        """Whether there is a sum of a file of this name."""
        return any(entry.endswith(f"  {path.name}") for entry in self.lines)

    def check(self, path: Path, content: bytes) -> None:
        """Refuses a file with other bytes than were written."""
        if line(path.name, content) not in self.lines:
            mend = _mend(path.parent, [path.name])
            raise UserError(f"{path} is damaged or edited: {SUMS} beside it names no such content; {mend}")


def line(name: str, content: bytes) -> str:
    """A file's line, without its end."""
    return f"{sha256(content)}  {name}"


def write_sums(folder: Path, contents: Mapping[str, bytes], besides: Iterable[str] = ()) -> None:
    """Writes the sums of some files, and further lines; nothing is written where they stand there already."""
    path = folder / SUMS
    text = "".join(
        f"{entry}\n" for entry in dict.fromkeys([*(line(*file) for file in contents.items()), *sorted(besides)])
    )
    if not path.is_file() or path.read_bytes() != text.encode():
        write_bytes(path, text.encode())


def gather(folder: Path, files: Iterable[str]) -> str:
    """How the records of some files are gathered again from the result files; nothing is lost or trained."""
    if folder.is_absolute() or len(folder.parts) != 2 or folder.parts[0] != "results":
        return "gather the result files again, into another folder (dmcore collect)"
    aside = shlex.quote(str(next(free for n in count(1) if not (free := folder / f"aside{n}").exists())))
    bad = shlex.join(str(folder / file) for file in files)
    return f"gather the result files again: mkdir {aside} && mv {bad} {aside} && snakemake --cores 1 tables"


def _mend(folder: Path, files: Iterable[str]) -> str:
    """What to do about files that are not what their sums say; nothing is lost or trained."""
    where = shlex.quote(str(folder))
    return (
        f"{gather(folder, files)}; where these are not, go back to what is in git: git stash push -- {where}; or, "
        f"after an edit that is meant: cd {where} && sha256sum {' '.join(FILES.values())} > {SUMS}"
    )
