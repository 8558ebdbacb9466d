from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

from dmcore.nets import Network, as_network
from dmcore.nets.builder import Builder
from dmcore.nets.layers import Conv, Flatten, Linear, Normalize, ReLU, Sum
from dmcore.nets.pruning import prune_relus

SNAKEMAKE = ("workflow", "slurm")
"""Folders whose tests the fast suite leaves out, but for those marked ``smoke``."""

HIGHS = pytest.mark.skipif(find_spec("highspy") is None, reason="needs highspy, which the library does without")
MILP = pytest.param("milp", marks=HIGHS)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name in SNAKEMAKE and not item.get_closest_marker("smoke"):
            item.add_marker("pipeline")


def conv_net(seed, dtype=torch.float32):
    """Convolutions with kernel ≠ stride, uneven padding and strides that differ by axis."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(2, 1)),
        nn.ReLU(),
        nn.Conv2d(3, 4, 4, padding="same"),  # 4×4/1 pads (1, 2)
        nn.ReLU(),
        nn.Conv2d(4, 3, 2, stride=3, padding=1),  # stride > kernel: some inputs are never read
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(18, 7),
        nn.ReLU(),
        nn.Linear(7, 4),
    ).to(dtype)


def pool_net(seed, dtype=torch.float32):
    """Max-pools with stride ≠ kernel, padding, and two in a row."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.MaxPool2d(2, stride=1),
        nn.Conv2d(3, 2, 2),
        nn.MaxPool2d((2, 1), stride=1),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).to(dtype)


def chain_net(seed, dtype=torch.float32):
    """Convolutions with no ReLU between them, the upper one reading the padding of the lower one's output."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.Conv2d(2, 2, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2, 2, 2, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 5),
        nn.Linear(5, 3),
    ).to(dtype)


def residual_net(seed, dtype=torch.float32):
    """A residual sum whose branches have different receptive fields, and an average of two heads."""
    torch.manual_seed(seed)
    net = Network()
    trunk = net.add(Conv(1, 3, (3, 3), padding=(1, 1, 1, 1)), [0])
    start = net.add(ReLU(), [trunk])
    branch = net.add(Conv(3, 3, (3, 3), padding=(1, 1, 1, 1)), [start])
    branch = net.add(ReLU(), [branch])
    branch = net.add(Conv(3, 3, (3, 3), padding=(1, 1, 1, 1)), [branch])
    total = net.add(Sum(), [branch, start])
    flat = net.add(Flatten(), [net.add(ReLU(), [total])])
    heads = [net.add(Linear(75, 3), [flat]) for _ in range(2)]
    net.add(Sum(0.5), heads)
    for p in net.parameters():
        if p.ndim == 1:
            nn.init.normal_(p, std=0.1)
    return net.to(dtype)


def rows_net(seed, dtype=torch.float32):
    """Fully connected layers on each row of a (B, H, W) input: nodes of two axes."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6, 3)).to(
        dtype
    )


def ensemble_net(seed, dtype=torch.float32):
    """Two members behind one normalisation."""
    torch.manual_seed(seed)
    net = Network()
    start = net.add(Normalize([0.4], [0.5]))
    logits = []
    for _ in range(2):
        member = Builder(net, start, (1, 5, 5))
        member.conv(2, kernel=3)
        member.relu()
        member.conv(2, kernel=2, stride=2, same=False)
        member.relu()
        logits.append(member.fc(3))
    net.add(Sum(0.5), logits)
    for p in net.parameters():
        if p.ndim == 1:
            nn.init.normal_(p, std=0.1)
    return net.to(dtype)


def one_weight_net(gap=0.0):
    """Two logits, z₀ − z₁ = 2x₀ − 1 + gap, on inputs of one pixel."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    net[1].weight.data, net[1].bias.data = torch.tensor([[1.0], [-1.0]]), torch.tensor([-0.5 + gap, 0.5])
    return net


def relu_masks(net, in_shape, seed):
    """Exactly a third of each layer's ReLUs positive, a third negative, at random."""
    generator = torch.Generator().manual_seed(seed)
    shapes = net.shapes(torch.zeros(1, *in_shape))
    kinds = {}
    for node in net.nodes():
        if isinstance(node.layer, ReLU):
            count = torch.Size(shapes[node.index]).numel()
            kinds[node.index] = (torch.randperm(count, generator=generator) % 3).reshape(shapes[node.index])
    return {n: kind == 0 for n, kind in kinds.items()}, {n: kind == 1 for n, kind in kinds.items()}


def plain_net(seed):
    """What :func:`pruned_net` prunes: convolutions and two fully connected layers."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(3, 2, 2, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(18, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


def pruned_net(seed, dtype=torch.float32):
    """Two thirds of the ReLUs replaced, half of them by the identity and half by zero."""
    net = as_network(plain_net(seed))
    return prune_relus(net, *relu_masks(net, (1, 6, 6), seed)).to(dtype)


class Net(NamedTuple):
    """``make(seed, dtype)`` gives a net whose inputs have this shape."""

    make: Callable[..., nn.Module]
    shape: tuple[int, ...]


NETS = {
    "rows": Net(rows_net, (2, 4)),
    "conv": Net(conv_net, (2, 5, 5)),
    "pool": Net(pool_net, (1, 8, 7)),
    "chain": Net(chain_net, (1, 6, 6)),
    "residual": Net(residual_net, (1, 5, 5)),
    "ensemble": Net(ensemble_net, (1, 5, 5)),
    "pruned": Net(pruned_net, (1, 6, 6)),
}


@pytest.fixture(params=sorted(NETS))
def any_net(request):
    """Each kind of net."""
    return NETS[request.param]


@pytest.fixture
def at_the_root(monkeypatch):
    """Files that the project's config names are found."""
    monkeypatch.chdir(Path(__file__).parents[1])


@pytest.fixture
def records(tmp_path):
    """Those of a few models on MNIST, whose every verdict is known."""
    from report.results_folder import COUNTS, write_results

    from doublemargin.records.tidy import collect

    write_results(tmp_path, COUNTS)
    return collect(tmp_path, "demo")


@pytest.fixture
def nothing(tmp_path):
    """Records of which there are none yet."""
    from doublemargin.records.tidy import read_records

    return read_records(tmp_path / "none")


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory, worker_id):
    """A tiny grid, run once by Snakemake for all processes of tests, each of which gets a copy.

    A test that changes its config puts it back.
    """
    from filelock import FileLock
    from workflow.tiny import Pipeline

    folder = tmp_path_factory.mktemp("pipeline")
    if worker_id == "master":  # the only process
        pipeline = Pipeline(folder / "run")
        pipeline.run("demo")
        return pipeline
    shared = folder.parents[1] / "pipeline"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            Pipeline(folder / "first").run("demo")
            (folder / "first").rename(shared)
    return Pipeline(folder / "run", made=shared)
