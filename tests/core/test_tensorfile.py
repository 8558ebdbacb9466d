"""Tensor files: a changed byte anywhere is named with its mend; what is foreign or of another kind is refused."""

import pickle
import random
import struct

import pytest
import safetensors.torch
import torch
from flips import every_flip_is_named, flip, named
from small_images import model, save, worst_case

from dmcore import tensorfile
from dmcore.checkpoint import load_model, save_model
from dmcore.data import ImageSet, Split, load_images
from dmcore.files import UNSEALED, broken_seal, sealed, sha256
from dmcore.training.state import Progress, load_state, save_state
from dmcore.training.step import seeded_net

KIND = "dmcore.kind"
SPEC = model(worst_case("double_margin"), eps="0.1", steps=4, warmup=1, ramp=2)
MEND = "write it again with the command that wrote it"
TENSORS = {"a": torch.arange(5.0), "b": torch.eye(3, dtype=torch.bool), "none": torch.zeros(0)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.safetensors"


def header_and_some(path, count):
    """Every byte before the tensors, the first and last of theirs, and some between."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = 8 + struct.unpack("<Q", file.read(8))[0]
    return [*range(head), head, size - 1, *random.Random(1).sample(range(head, size), min(count, size - head))]


def test_round_trip_and_every_byte_of_a_small_file(path):
    content = tensorfile.save(path, KIND, TENSORS, {"note": 'ε "seal":"' + "0" * 64})
    assert content == tensorfile.content_hash(TENSORS)
    tensors, meta = tensorfile.load(path, KIND)
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], t) and tensors[name].dtype == t.dtype for name, t in TENSORS.items())
    assert meta["note"] == 'ε "seal":"' + "0" * 64
    every_flip_is_named(path, lambda: tensorfile.load(path, KIND), MEND)


def test_every_byte_of_a_checkpoint(path):
    net = seeded_net(SPEC)
    weights = save_model(path, net, SPEC)
    assert weights == tensorfile.content_hash(net.state_dict())  # as recorded by older versions, too
    every_flip_is_named(path, lambda: load_model(path), places=header_and_some(path, 20))


def test_every_byte_of_prepared_data(path):
    train, test = (Split(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([1, 0, 1])) for _ in range(2))
    save(ImageSet(train, test, {"name": "mnist"}), path)
    every_flip_is_named(path, lambda: load_images(path))


def test_a_training_state_that_was_changed_is_not_gone_on_from(path):
    net = torch.nn.Linear(2, 3)
    optimizer, noise = torch.optim.Adam(net.parameters()), torch.Generator()
    save_state(path, "key", net, optimizer, noise, Progress(7, [{"loss": 1.5}]))
    found, told = load_state(path, "key", net, optimizer, noise)
    assert (found.step, found.history) == (7, [{"loss": 1.5}])
    for place in header_and_some(path, 200):
        flip(path, place)
        found, told = load_state(path, "key", net, optimizer, noise)
        assert found is None
        assert told.startswith(f"starting anew: {path} is ")
        assert told.endswith("; it will be written anew")
        flip(path, place)


def test_the_seal_is_the_hash_of_the_bytes_around_it():
    """As docs/operations.md says how to check one by hand."""
    content = sealed(b'{"a":1,"seal":"' + UNSEALED.encode() + b'"}')
    assert content == b'{"a":1,"seal":"' + sha256(b'{"a":1,"seal":"' + b"0" * 64 + b'"}').encode() + b'"}'
    assert broken_seal(content) is None
    assert "older version" in broken_seal(b'{"a":1}')


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
def test_a_truncated_file_is_named(path, keep, told):
    tensorfile.save(path, KIND, TENSORS, {"note": "x"})
    path.write_bytes(path.read_bytes()[:keep])
    with named(path, told):
        tensorfile.load(path, KIND)


def test_what_is_not_ours_or_another_file_of_ours_is_refused(path):
    with named(path, "does not exist"):
        tensorfile.load(path, KIND)
    tensorfile.save(path, KIND, TENSORS, {})
    with named(path, "is a dmcore.kind file, not a dmcore.other file"):
        tensorfile.load(path, "dmcore.other")
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    with named(path, "is a safetensors file, not a dmcore.kind file"):
        tensorfile.load(path, KIND)
    meta = {"kind": KIND, "sha256": tensorfile.content_hash({"a": torch.zeros(2)})}  # as an older version wrote it
    safetensors.torch.save_file({"a": torch.zeros(2)}, path, meta)
    with named(path, "it has no seal: it is damaged, edited or of an older version", MEND):
        tensorfile.load(path, KIND)


def test_a_pickle_is_never_opened(path):
    class Evil:
        def __reduce__(self):
            return (path.with_suffix(".ran").write_text, ("x",))

    path.write_bytes(pickle.dumps(Evil()))
    with named(path, "is a pickle, not a dmcore.kind file"):
        tensorfile.load(path, KIND)
    assert not path.with_suffix(".ran").exists()


def test_a_header_that_claims_to_be_huge_is_not_read(path):
    path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    with named(path, "not a dmcore.kind file"):
        tensorfile.load(path, KIND)
    with path.open("wb") as file:  # a sparse file as long as it says
        file.write(struct.pack("<Q", 2**36))
        file.truncate(2**36 + 8)
    with named(path, "not a dmcore.kind file"):
        tensorfile.load(path, KIND)
