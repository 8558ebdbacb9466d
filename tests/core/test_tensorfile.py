"""A tensor file that is truncated, altered, foreign or a pickle is refused in one line."""

import pickle

import pytest
import safetensors.torch
import torch

from dmcore import tensorfile
from dmcore.errors import UserError

KIND = "dmcore.kind"


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "t.safetensors"
    tensorfile.save(path, KIND, {"a": torch.arange(100.0), "b": torch.eye(3, dtype=torch.uint8)}, {"note": "x"})
    return path


def refused(path, message, kind=KIND):
    with pytest.raises(UserError) as error:
        tensorfile.load(path, kind)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_round_trip(saved):
    tensors, meta = tensorfile.load(saved, KIND)
    assert torch.equal(tensors["a"], torch.arange(100.0))
    assert torch.equal(tensors["b"], torch.eye(3, dtype=torch.uint8))
    assert meta["note"] == "x"


@pytest.mark.parametrize(
    ("keep", "told"),
    [
        (0, "is an empty file, not a dmcore.kind file"),
        (4, "is a file of no known kind, not a"),
        (20, "is a safetensors file, not a"),
        (300, "is truncated or damaged ("),
        (-1, "is truncated or damaged ("),
    ],
)
def test_truncated(saved, keep, told):
    saved.write_bytes(saved.read_bytes()[:keep])
    refused(saved, told)


def test_any_flipped_byte_of_the_content(saved):
    content = bytearray(saved.read_bytes())
    for place in range(len(content) - 409, len(content), 13):  # the tensors' bytes are the last 409
        content[place] ^= 1
        saved.write_bytes(content)
        refused(saved, "damaged")
        content[place] ^= 1


def test_another_kind(saved):
    refused(saved, "is a dmcore.kind file, not a dmcore.other file", kind="dmcore.other")


def test_a_foreign_safetensors_file(tmp_path):
    path = tmp_path / "f.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    refused(path, "is a safetensors file, not a dmcore.kind file")


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "evil.pt"

    class Evil:
        def __reduce__(self):
            return (path.with_suffix(".ran").write_text, ("x",))

    path.write_bytes(pickle.dumps(Evil()))
    refused(path, "is a pickle, not a dmcore.kind file")
    assert not path.with_suffix(".ran").exists()


def test_missing(tmp_path):
    refused(tmp_path / "none", "does not exist")
