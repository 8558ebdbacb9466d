"""How fast points are certified: points a second by network, certifier and norm, and what memory that takes.

Times are also given in units of a plain PyTorch training step of the small CNN on a batch of 100, measured in turns
with them, so that a busy machine slows both. Multiply-adds are those counted in convolutions and matrix products. Every
line has a process of its own, whose largest memory it shows. `4x16` is a network of 4 convolutions of 16 3×3 filters
and a fully connected layer, to see how cost grows with depth and width.

    python benchmarks/certify.py                                            the paper's networks, untrained, on 1×28×28
    python benchmarks/certify.py --nets results/short/mnist/small/dm/0.3/seed0/model.safetensors --eps 0.1 0.3
    python benchmarks/certify.py --nets 2x16 4x16 8x16 4x8 4x32 --certifiers cnn-cert-relu
    python benchmarks/certify.py --nets medium large --shape 3 32 32 --device cuda
    python benchmarks/certify.py --lirpa --threads 1                        beside auto_LiRPA (benchmarks/lirpa.py)
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tabulate import tabulate
from train_step import flops, plain_step, timed

from dmcore.certify import margin_bounds
from dmcore.checkpoint import load_model
from dmcore.device import keep_memory
from dmcore.nets import Network, build_net
from dmcore.nets.builder import Builder

ARCHITECTURES = ["small", "pureconv", "medium", "pooling", "resnet"]
CERTIFIERS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "ibp"]


def network(name: str, shape: tuple[int, ...]) -> Network:
    """A trained network by its file, or an untrained one by its architecture's name or its depth and width."""
    torch.manual_seed(0)
    if name.endswith(".safetensors"):
        return load_model(Path(name))[0]
    size = re.fullmatch(r"(\d+)x(\d+)", name)
    if not size:
        return build_net(name, shape, 10)
    net = Network()
    builder = Builder(net, 0, shape)
    for _ in range(int(size[1])):
        builder.conv(int(size[2]), kernel=3)
        builder.relu()
    builder.fc(10)
    return net


def measure(name: str, certifier: str, eps: float, args: argparse.Namespace) -> list[object]:
    """One line of the table."""
    torch.set_num_threads(args.threads)
    keep_memory()
    device, shape = torch.device(args.device), tuple(args.shape)
    net = network(name, shape).to(device)
    x = images(shape, args).to(device)
    with torch.no_grad():
        y = net(x).argmax(1)
    plain = plain_step("small", (1, 28, 28), 10, 100, device)

    def certify(count: int) -> None:
        margin_bounds(net, x[:count], y[:count], eps, args.norm, certifier)

    few = min(8, args.points)
    counted = flops(lambda: certify(few)) / 2 / few
    timed(plain, device, 3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, steps, ratios = [], [], []
    theirs = lirpa_bounds(net, x, y, eps, certifier) if args.lirpa else None
    for _ in range(args.rounds):
        steps.append(timed(plain, device, 3) / 1e3)
        started = time.perf_counter()
        certify(args.points)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - started) / args.points)
        if theirs is not None:
            ours = timed(lambda: certify(args.points), device, 1)
            ratios.append(timed(theirs, device, 1) / ours)
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else max(kib, before) / 2**10
    point, step = statistics.median(seconds), statistics.median(steps)
    parts = Path(name).parts
    label = "/".join(parts[-5:-2]) if parts[-1] == "model.safetensors" else Path(name).stem
    return [
        label,
        certifier,
        f"{eps:g}",
        f"{1 / point:.3g}",
        f"{point * 1e3:.3g}",
        f"{point / step:.2f}",
        f"{min(seconds) / min(steps):.2f}",
        f"{counted / 1e9:.3g}",
        f"{peak:.0f}",
        *([f"{statistics.median(ratios):.2f}"] if ratios else []),
    ]


def lirpa_bounds(
    net: Network, x: torch.Tensor, y: torch.Tensor, eps: float, certifier: str
) -> Callable[[], object] | None:
    """auto_LiRPA's bounds of the same margins, computed once; None, with its reason, for what it cannot bound."""
    import lirpa

    try:
        theirs = lirpa.margin_bounds(net, x, y, eps, certifier)
        theirs()
    except (TypeError, ValueError, RuntimeError, NotImplementedError, AssertionError) as error:
        print(f"auto_LiRPA, {certifier}: {type(error).__name__}: {str(error)[:100]}")
        return None
    return theirs


def images(shape: tuple[int, ...], args: argparse.Namespace) -> torch.Tensor:
    """The first test images of a prepared data file, or random ones."""
    if args.data is None:
        return torch.rand(args.points, *shape, generator=torch.Generator().manual_seed(0))
    from dmcore.data import load_images, test_points

    data = load_images(args.data)
    return data.test.x[test_points(len(data.test), args.points, 0)].float().div(255)


def alone(task: tuple[str, str, float, argparse.Namespace]) -> list[object]:
    """:func:`measure` in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, task)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nets", nargs="+", default=ARCHITECTURES, help="(default: %(default)s)")
    parser.add_argument("--certifiers", nargs="+", default=CERTIFIERS, help="(default: %(default)s)")
    parser.add_argument("--eps", nargs="+", type=float, default=[0.1], help="(default: 0.1)")
    parser.add_argument("--norm", default="linf")
    parser.add_argument("--shape", nargs=3, type=int, default=[1, 28, 28], metavar=("C", "H", "W"))
    parser.add_argument("--data", type=Path, help="prepared data file (default: random images)")
    parser.add_argument("--points", type=int, default=16, help="of each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements, of which the median is shown")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--lirpa", action="store_true", help="auto_LiRPA's time over ours, in turns")
    args = parser.parse_args()
    tasks = [(n, c, e, args) for n in args.nets for e in args.eps for c in args.certifiers]
    where = torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} CPU threads"
    print(f"{args.norm}, {'×'.join(map(str, args.shape))}, {args.points} points, {where}, torch {torch.__version__}\n")
    head = ["net", "certifier", "ε", "points/s", "ms a point", "steps a point", "at best", "GMAC a point", "peak MiB"]
    head += ["auto_LiRPA / ours"] if args.lirpa else []
    print(tabulate([alone(task) for task in tasks], head, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
