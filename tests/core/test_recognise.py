"""What files are, as others and as we write them."""

import io
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dmcore import tensorfile
from dmcore.recognise import TENSORS, carries, kind_of, tensors


def numpy_file(save):
    save(buffer := io.BytesIO(), np.zeros(3))
    return buffer.getvalue()


NET = torch.nn.Linear(2, 3)
EMBEDDED = b'{"note": "spec_hash, kind, dmcore.model and seal", "kind": "dmcore", "seal": "of wax"}'
FILES = {
    "a folder": lambda path: path.mkdir(),
    "an empty file": lambda path: path.touch(),
    "a safetensors file": lambda path: save_file(NET.state_dict(), path, {"kind": "model", "seal": "none"}),
    "a PyTorch file": lambda path: torch.save(NET, path),
    "a PyTorch file of old": lambda path: torch.save(NET.state_dict(), path, _use_new_zipfile_serialization=False),
    "a NumPy archive (NPZ)": lambda path: path.write_bytes(numpy_file(np.savez_compressed)),
    "a NumPy array (NPY)": lambda path: path.write_bytes(numpy_file(np.save)),
    "a pickle": lambda path: path.write_bytes(pickle.dumps([1])),
    "a Parquet file": lambda path: path.write_bytes(b"PAR1\x15\x04\x15" + bytes(9) + b"PAR1"),
    "an HDF5 file": lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n\0"),
    "a gzip file": lambda path: path.write_bytes(b"\x1f\x8b\x08"),
    "a zip archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(26) + b"word/document.xml"),
    "a PNG picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0"),
    "an ONNX file": lambda path: path.write_bytes(b"\x08\x08\x12\x07pytorch"),
    "a JSON file": lambda path: path.write_bytes(EMBEDDED),
    "a text file": lambda path: path.write_text("ε" * 2**20),  # what is read of it ends within a letter
    "a file of no known kind": lambda path: path.write_bytes(bytes(range(256))),
}


@pytest.mark.parametrize(("kind", "make"), FILES.items(), ids=FILES)
def test_the_kind_of_a_file(kind, make, tmp_path):
    path = tmp_path / "x"
    make(path)
    assert kind_of(path) == kind.removesuffix(" of old")
    assert not carries(path, TENSORS)


def test_what_we_write_carries_its_mark_and_no_other(tmp_path):
    tensorfile.save(tmp_path / "t", "dmcore.model", {"a": torch.zeros(2)}, {"spec": '{"spec_hash": "' + "0" * 16})
    marks = [TENSORS, tensors("dmcore.model"), tensors("dmcore.images")]
    assert [carries(tmp_path / "t", mark) for mark in marks] == [True, True, False]


def test_a_damaged_byte_leaves_the_mark(tmp_path):
    tensorfile.save(tmp_path / "t", "dmcore.model", {"a": torch.zeros(2)}, {})
    content = (tmp_path / "t").read_bytes()
    places = [place for found in TENSORS.finditer(content) for place in range(*found.span())]
    assert len(places) > 50
    for place in places:
        assert re.search(TENSORS, content[:place] + b"\xff" + content[place + 1 :])
