"""What the readers of untrusted source files share: one-line errors, and limits on what is unpacked or decoded."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image

from dmcore.errors import UserError

LIMIT = 256 * 2**20
"""Bytes that one file may unpack to."""

PIXELS = 2**22
"""Pixels that one image may have before it is decoded."""

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "WEBP")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what libraries say of a file that they cannot read into one line that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # any: a parser of untrusted bytes may fail in any way, running out of memory included
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} is damaged or of another format ({reason}): put a fresh copy there") from error


def named(paths: Iterable[Path], name: str, form: str) -> Path:
    """The file of that name among a source's, which its format needs."""
    for path in paths:
        if path.name == name:
            return path
    raise UserError(f"the format {form} needs a file {name}: name it among the source's files")


def unpack(path: Path) -> bytes:
    """The content of a gzip-compressed file, up to ``LIMIT`` bytes."""
    with reading(path), gzip.open(path) as file:
        return limited(file, LIMIT)


def limited(file: IO[bytes], limit: int) -> bytes:
    """All of an open file, unless that is more than ``limit`` bytes."""
    content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"more than {limit} bytes when unpacked")
    return content


def decode(encoded: bytes, channels: int) -> Image.Image:
    """An encoded image as grey (one channel) or RGB (three)."""
    image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    if image.width * image.height > PIXELS:
        raise ValueError(f"an image of {image.width}x{image.height} pixels")
    return image.convert("L" if channels == 1 else "RGB")
