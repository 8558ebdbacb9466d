"""A little data set for tests that train, real MNIST digits, few of them; and how a training is cut off."""

import gzip
import json
import signal
from functools import cache
from pathlib import Path

import torch

from dmcore import tensorfile
from dmcore.data import ImageSet, Split
from dmcore.data.prepared import KIND
from dmcore.spec import Method, ModelSpec, Term, Training
from dmcore.training.step import Step

ROOT = Path(__file__).parents[1]


@cache
def digits(train=2000, test=300):
    splits = []
    for name, n in (("train", train), ("t10k", test)):
        with gzip.open(ROOT / f"resources/mnist/{name}-images-idx3-ubyte.gz") as file:
            pixels = file.read(16 + n * 28 * 28)[16:]
        with gzip.open(ROOT / f"resources/mnist/{name}-labels-idx1-ubyte.gz") as file:
            labels = file.read(8 + n)[8:]
        x = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(n, 1, 28, 28)
        splits.append(Split(x, torch.tensor(list(labels))))
    return ImageSet(*splits, {"name": "mnist", "variant": "official", "sha256": "0" * 64})


def save(images, path, **info):
    """Writes images as a prepared data set, with more or other ``info`` than theirs; returns the path."""
    tensors = {f"{split}_{part}": getattr(getattr(images, split), part) for split in ("train", "test") for part in "xy"}
    tensorfile.save(path, KIND, tensors, {"info": json.dumps(images.info | info)})
    return path


def model(
    *terms,
    eps="none",
    steps=60,
    batch=50,
    seed=0,
    warmup=10,
    ramp=20,
    lr=1e-3,
    name="method",
    optimizer="adam",
    augment=None,
    **method,
):
    training = Training(batch, steps, warmup, ramp, lr, (steps * 2 // 3,), optimizer)
    data = {"shape": [1, 28, 28], "classes": 10} | ({"augment": augment} if augment else {})
    return ModelSpec("test", "mnist", "small", eps, seed, Method(name, tuple(terms), **method), training, data)


def weights(net):
    """All that is trained, as one vector."""
    return torch.cat([p.detach().flatten() for p in net.parameters()])


class Killed(BaseException):
    """An end that nothing catches."""


def terminate():
    signal.raise_signal(signal.SIGTERM)


def at_step(monkeypatch, number, what):
    """Calls ``what`` before each training's step of that number."""
    call = Step.__call__

    def counted(self, step):
        if step == number:
            what()
        return call(self, step)

    monkeypatch.setattr(Step, "__call__", counted)


def worst_case(domain, weight=0.5, **options):
    return Term("worst_case", weight, True, {"domain": domain, **options})


L1 = Term("weight_norm", 2e-5, False, {"norm": "l1"})
