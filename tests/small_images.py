"""A little data set for tests that train: real MNIST digits, few of them."""

from functools import cache
from pathlib import Path

from dmcore.data import ImageSet, Split
from dmcore.spec import Method, ModelSpec, Term, Training
from doublemargin.experiment.sources.idx import read_idx

ROOT = Path(__file__).parents[1]


@cache
def digits(train=2000, test=300):
    import torch

    found = read_idx(sorted((ROOT / "resources/mnist").glob("*.gz")), (1, 28, 28))
    arrays = {k: torch.from_numpy(v.copy()) for k, v in found.items()}
    splits = [Split(arrays[f"{s}_x"][:n], arrays[f"{s}_y"][:n].long()) for s, n in (("train", train), ("test", test))]
    return ImageSet(*splits, {"name": "mnist", "variant": "official", "sha256": "0" * 64})


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


def worst_case(domain, weight=0.5, **options):
    return Term("worst_case", weight, True, {"domain": domain, **options})


L1 = Term("weight_norm", 2e-5, False, {"norm": "l1"})
