"""A tensor file that is truncated, altered, foreign or a pickle is refused in one line."""

import pickle

import pytest
import safetensors.torch
import torch

from dmcore import tensorfile
from dmcore.errors import UserError


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "t.safetensors"
    tensorfile.save(path, "kind", {"a": torch.arange(100.0), "b": torch.eye(3, dtype=torch.uint8)}, {"note": "x"})
    return path


def refused(path, message, kind="kind"):
    with pytest.raises(UserError) as error:
        tensorfile.load(path, kind)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_round_trip(saved):
    tensors, meta = tensorfile.load(saved, "kind")
    assert torch.equal(tensors["a"], torch.arange(100.0))
    assert torch.equal(tensors["b"], torch.eye(3, dtype=torch.uint8))
    assert meta["note"] == "x"


@pytest.mark.parametrize("keep", [0, 4, 100, 300, -1])
def test_truncated(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    refused(saved, "truncated")


def test_any_flipped_byte_of_the_content(saved):
    content = bytearray(saved.read_bytes())
    for place in range(len(content) - 409, len(content), 13):  # the tensors' bytes are the last 409
        content[place] ^= 1
        saved.write_bytes(content)
        refused(saved, "damaged")
        content[place] ^= 1


def test_another_kind(saved):
    refused(saved, "is not a other file, but kind", kind="other")


def test_a_foreign_safetensors_file(tmp_path):
    path = tmp_path / "f.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    refused(path, "a foreign safetensors file")


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "evil.pt"

    class Evil:
        def __reduce__(self):
            return (path.with_suffix(".ran").write_text, ("x",))

    path.write_bytes(pickle.dumps(Evil()))
    refused(path, "truncated or no safetensors file")
    assert not path.with_suffix(".ran").exists()


def test_missing(tmp_path):
    refused(tmp_path / "none", "does not exist")
