"""A changed byte anywhere in a checkpoint, prepared data or training state is named, with its mend."""

import json
import random
import struct

import safetensors.torch
import torch
from flips import every_flip_is_named, flip, named
from small_images import model, worst_case

from dmcore import tensorfile
from dmcore.checkpoint import load_model, save_model
from dmcore.data import load_images
from dmcore.data.prepared import KIND as IMAGES
from dmcore.files import UNSEALED, broken_seal, sealed, sha256
from dmcore.training.state import Progress, load_state, save_state
from dmcore.training.step import seeded_net

SPEC = model(worst_case("double_margin"), eps="0.1", steps=4, warmup=1, ramp=2)
MEND = "write it again with the command that wrote it"


def header_and_some(path, count=60):
    """Every byte before the tensors, the first and last of theirs, and some between."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = 8 + struct.unpack("<Q", file.read(8))[0]
    return [*range(head), head, size - 1, *random.Random(1).sample(range(head, size), min(count, size - head))]


def test_every_byte_of_a_small_tensor_file(tmp_path):
    path = tmp_path / "t.safetensors"
    tensors = {"a": torch.arange(5.0), "b": torch.eye(3, dtype=torch.bool), "none": torch.zeros(0)}
    content = tensorfile.save(path, "dmcore.kind", tensors, {"note": 'ε "seal":"' + "0" * 64})
    assert content == tensorfile.content_hash(tensors)
    every_flip_is_named(path, lambda: tensorfile.load(path, "dmcore.kind"), MEND)


def test_a_checkpoint(tmp_path):
    path = tmp_path / "model.safetensors"
    net = seeded_net(SPEC)
    weights = save_model(path, net, SPEC)
    assert weights == tensorfile.content_hash(net.state_dict())  # as recorded by older versions, too
    every_flip_is_named(path, lambda: load_model(path), places=header_and_some(path, 20))


def test_prepared_data(tmp_path):
    path = tmp_path / "mnist.safetensors"
    tensors = {"train_x": torch.zeros(3, 1, 2, 2, dtype=torch.uint8), "train_y": torch.tensor([1, 0, 1])}
    tensors |= {name.replace("train", "test"): t.clone() for name, t in tensors.items()}
    tensorfile.save(path, IMAGES, tensors, {"info": json.dumps({"name": "mnist", "shape": [1, 2, 2]})})
    every_flip_is_named(path, lambda: load_images(path))


def test_a_training_state_that_was_changed_is_not_gone_on_from(tmp_path):
    path = tmp_path / "unfinished-1.safetensors"
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


def test_what_an_older_version_wrote_is_refused(tmp_path):
    weights = tmp_path / "m"
    tensors = {"a": torch.zeros(2)}
    meta = {"kind": "dmcore.kind", "sha256": tensorfile.content_hash(tensors)}
    safetensors.torch.save_file(tensors, weights, meta)
    with named(weights, "it has no seal: it is damaged, edited or of an older version", MEND):
        tensorfile.load(weights, "dmcore.kind")


def test_a_header_that_claims_to_be_huge_is_not_read(tmp_path):
    path = tmp_path / "t"
    for length in (2**63, 2**40, 200_000_000):
        path.write_bytes(struct.pack("<Q", length) + b"{}")
        with named(path, "not a dmcore.kind file"):
            tensorfile.load(path, "dmcore.kind")
    with path.open("wb") as file:  # a sparse file as long as it says
        file.write(struct.pack("<Q", 2**36))
        file.truncate(2**36 + 8)
    with named(path, "not a dmcore.kind file"):
        tensorfile.load(path, "dmcore.kind")
