"""What files are, as others and as we write them."""

import io
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dmcore import tensorfile
from dmcore.files import write_json
from dmcore.recognise import ONNX, RECORD, TENSORS, carries, kind_of, record, tensors


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
    for mark in (TENSORS, RECORD, ONNX):
        assert not carries(path, mark)


def test_what_we_write_carries_its_mark_and_no_other(tmp_path):
    tensorfile.save(tmp_path / "t", "dmcore.model", {"a": torch.zeros(2)}, {"spec": '{"spec_hash": "' + "0" * 16})
    write_json(tmp_path / "r", {"model": "m", "spec_hash": "0" * 16, "attack": "pgd", "points": [1], "eps": "0.1"})
    found = {name: [carries(tmp_path / name, mark) for mark in (TENSORS, RECORD, ONNX)] for name in "tr"}
    assert found == {"t": [True, False, False], "r": [False, True, False]}
    assert [carries(tmp_path / "t", tensors(kind)) for kind in ("dmcore.model", "dmcore.images")] == [True, False]
    assert [carries(tmp_path / "r", record(key)) for key in ("attack", "eps")] == [True, False]  # the second comes late


@pytest.mark.parametrize(("name", "mark"), [("t", TENSORS), ("r", RECORD)])
def test_a_damaged_byte_leaves_the_mark(name, mark, tmp_path):
    tensorfile.save(tmp_path / "t", "dmcore.model", {"a": torch.zeros(2)}, {})
    write_json(tmp_path / "r", {"model": "m", "spec_hash": "0" * 16})
    content = (tmp_path / name).read_bytes()
    places = [place for found in mark.finditer(content) for place in range(*found.span())]
    assert len(places) > 50
    for place in places:
        assert re.search(mark, content[:place] + b"\xff" + content[place + 1 :])
