"""What a file is, by its first bytes, and whether dmcore wrote it: what others wrote is never to be lost."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

_HEAD = 2**20
"""Bytes that are looked at; all marks of ours stand among them."""

TENSORS = re.compile(rb'"kind":"dmcore\.|"seal":"[0-9a-f]{64}"')
"""The mark of a tensor file of ours. It is in two places, so one damaged byte leaves it."""
_KINDS = {
    "a safetensors file": rb".{4}\0{4}\{",
    "a NumPy archive (NPZ)": rb"PK\x03\x04.{26}[^/\0]{1,200}\.npy",
    "a PyTorch file": rb"PK\x03\x04.{26}[^/\0]{1,200}/(?:data\.pkl|data/)|\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19",
    "a zip archive": rb"PK\x03\x04",
    "a pickle": rb"\x80[\x02-\x05]",
    "a NumPy array (NPY)": rb"\x93NUMPY",
    "a Parquet file": rb"PAR1",
    "an HDF5 file": rb"\x89HDF\r\n\x1a\n",
    "a gzip file": rb"\x1f\x8b",
    "a PNG picture": rb"\x89PNG\r\n\x1a\n",
    "an ONNX file": rb"\x08[\x01-\x7f][\x12\x1a\x22\x28\x32\x3a\x42]",  # the IR version, then any other field
    "a JSON file": rb"\s*[\[{]",
}


def tensors(kind: str) -> re.Pattern[bytes]:
    """The mark of a tensor file of one kind, such as ``dmcore.model``."""
    return re.compile(rb'"kind":"%s"' % re.escape(kind.encode()))


def carries(path: Path, mark: re.Pattern[bytes]) -> bool:
    """Whether a file begins with a mark, or has it near its beginning."""
    return path.is_file() and mark.search(_head(path)) is not None


def kind_of(path: Path) -> str:
    """What a file is, with its article: ``a PyTorch file``, ``an empty file``."""
    if path.is_dir():
        return "a folder"
    head = _head(path)
    if not head:
        return "an empty file"
    known = next((kind for kind, begin in _KINDS.items() if re.match(begin, head, re.S)), None)
    return known or ("a text file" if _is_text(head) else "a file of no known kind")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _is_text(head: bytes) -> bool:
    try:
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
