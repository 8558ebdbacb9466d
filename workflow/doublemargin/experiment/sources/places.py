"""The places where source files may lie, from the nearest to the farthest, and how files are got from there."""

from __future__ import annotations

import filecmp
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmcore.errors import UserError
from dmcore.files import sha256
from doublemargin.experiment.sources.reading import unpack


class MissingError(UserError):
    """A place does not have a source's files."""


@dataclass(frozen=True)
class Place:
    """One place of a data set's files.

    Attributes:
        kind: ``cache``, ``folder``, ``mirror``, ``resources`` or ``download``.
        where: a folder, or for ``mirror`` and ``download`` what stands before a file's name in its URL.
        source: the config's entry of the source that is looked for there.
    """

    kind: str
    where: str
    source: Mapping[str, Any]

    @contextmanager
    def files(self, cache: Path) -> Iterator[list[Path]]:
        """The source's files, in its order, each the pinned one where the file itself is pinned.

        Downloads go to ``cache``; a file that has no pin of its own stays there only if the block ends well.

        Raises:
            MissingError: they are not there.
            UserError: one is damaged or not the pinned one; a download failed.
        """
        pins = self.source["files"]
        if self.kind not in ("mirror", "download"):
            paths = [Path(self.where) / name for name in pins]
            for path in paths:
                if not path.is_file():
                    raise MissingError(f"{self.where} has no {path.name}")
                check_pin(path, pins[path.name])
            yield paths
            return
        # Here, not above: a machine without network need not have what fetches files.
        from doublemargin.experiment.sources.download import download

        try:
            cache.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix=".download-", dir=cache)
        except OSError as error:
            raise UserError(f"cannot write {cache}: {error.strerror}; name another folder with --cache") from error
        with made as staging:
            paths = []
            for name, pin in pins.items():
                # What is pinned by its own hash goes to the cache at once: an interrupted download goes on there.
                pinned = "sha256" in pin or "md5" in pin
                if pinned and _is_pinned(cache / name, pin):
                    paths.append(cache / name)
                    continue
                path = download(f"{self.where}{name}", Path(staging) / name, pin)
                check_pin(path, pin)
                paths.append(_keep(path, cache) if pinned else path)
            yield paths
            for path in paths:
                if path.parent != cache:
                    _keep(path, cache)


def places(name: str, spec: Mapping[str, Any], configured: Sequence[str], cache: Path, resources: Path) -> list[Place]:
    """Every place to try for a data set, in order; at each, the sources in the config's order.

    The cache, then the folders and mirrors that the user configures, then the project's own files, then the download
    of the official ones. Below the first three each data set has a folder of its own.
    """
    found = [("cache", str(cache / name))]
    for place in configured:
        if place.startswith(("http://", "https://")):
            found.append(("mirror", f"{place.rstrip('/')}/{name}/"))
        else:
            found.append(("folder", str(Path(place).expanduser() / name)))
    found.append(("resources", str(resources / name)))
    near = [Place(kind, where, source) for kind, where in found for source in spec["sources"]]
    urls = [(url.rstrip("/") + "/", source) for source in spec["sources"] for url in source.get("urls", ())]
    return near + [Place("download", url, source) for url, source in urls]


def check_pin(path: Path, pin: Mapping[str, str]) -> None:
    """Refuses a file that is not the pinned one, by ``sha256``, ``md5`` or the ``unpacked_sha256`` of its content."""
    for kind, expected in pin.items():
        if kind == "unpacked_sha256":
            found = sha256(unpack(path))
        else:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, kind).hexdigest()
        if found != expected:
            what = "unpacked sha256" if kind == "unpacked_sha256" else kind
            raise UserError(f"{path} is not the pinned file ({what} {found[:12]}…): put a fresh copy there")


def _is_pinned(path: Path, pin: Mapping[str, str]) -> bool:
    with suppress(UserError, OSError):
        check_pin(path, pin)
        return True
    return False


def _keep(fetched: Path, cache: Path) -> Path:
    """Moves a download to the cache. Another file of its name there may be a user's: it gets a name of its own."""
    place = cache / fetched.name
    if place.is_file() and not filecmp.cmp(place, fetched, shallow=False):
        with place.open("rb") as file:
            aside = place.with_name(f"{place.name}.{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}")
        print(f"{place} is downloaded; what was there is kept as {aside.name}", file=sys.stderr)
        place.replace(aside)
    return fetched.replace(place)
