"""Time of one training step of each method, as a ratio to a plain PyTorch step of standard training.

The plain step is what a user would write: ordinary ``torch.nn`` modules, autograd, ``torch.optim.Adam``, tensors in
memory. All are measured in one run, in turns, so that a busy machine slows all of them; on a CPU by the seconds that
the process was given of it. ``floor`` is the ratio of the floating-point operations counted in each step to those of
the plain one: with equally efficient kernels nothing can be below it. Steps are at the full ε; of a method with
CROWN-IBP's lines, which it leaves behind with the ramp, in the middle of the ramp.

    python benchmarks/train_step.py                           the small CNN on MNIST, batch 100
    python benchmarks/train_step.py --arch small large --shape 3 32 32 --batch 50 --methods normal ibp dm --fused
    python benchmarks/train_step.py --device cuda --cuda-graphs
    python benchmarks/train_step.py --methods ibp_cut-weight0.5 crown_ibp-weight0.5 --lirpa
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dmcore.data import ImageSet, Split
from dmcore.device import reproducible
from dmcore.fusion import fusion
from dmcore.nets import Network, build_net, layers
from dmcore.training.loop import Run
from doublemargin.experiment.config import load_config
from doublemargin.experiment.resolve import model_spec, needs_eps

ROOT = Path(__file__).parents[1]
SLOW = {"bounded", "bounded_exact", "mmr"}
DATASETS = {(1, 28, 28): "mnist", (3, 32, 32): "cifar10"}
Step = Callable[[], None]


class Plain(nn.Module):
    """The same architecture in ordinary modules."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.steps = nn.ModuleList(self._plain(layer) for layer in net.layers)
        self.parents = net.parents

    @staticmethod
    def _plain(layer: nn.Module) -> nn.Module:
        if isinstance(layer, layers.Conv):
            out, inp = layer.weight.shape[:2]
            left, right, top, bottom = layer.padding
            if left == right and top == bottom:
                return nn.Conv2d(inp, out, layer.kernel, layer.stride, (top, left))
            return nn.Sequential(nn.ZeroPad2d(layer.padding), nn.Conv2d(inp, out, layer.kernel, layer.stride))
        if isinstance(layer, layers.Linear):
            return nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
        if isinstance(layer, layers.MaxPool):
            return nn.MaxPool2d(layer.kernel, layer.stride, layer.padding)
        return {layers.ReLU: nn.ReLU, layers.Flatten: nn.Flatten}[type(layer)]() if type(layer) in (
            layers.ReLU,
            layers.Flatten,
        ) else layer  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for step, parents in zip(self.steps, self.parents, strict=True):
            values.append(step(*(values[p] for p in parents)))
        return values[-1]


def plain_step(arch: str, shape: tuple[int, ...], classes: int, batch: int, device: torch.device) -> Step:
    """Standard training, without any of dmcore."""
    net = Plain(build_net(arch, shape, classes)).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, y = torch.rand(20 * batch, *shape, device=device), torch.randint(classes, (20 * batch,), device=device)
    count = 0

    def step() -> None:
        nonlocal count
        part = slice(count % 20 * batch, (count % 20 + 1) * batch)
        count += 1
        optimizer.zero_grad()
        F.cross_entropy(net(x[part]), y[part]).backward()
        optimizer.step()

    return step


def our_step(
    config: dict,
    dataset: str,
    arch: str,
    method: str,
    eps: str,
    batch: int,
    device: torch.device,
    cuda_graphs: bool = False,
    fused: bool = False,
) -> Step:
    """A step of the training loop itself."""
    eps = eps if needs_eps(config["methods"][method]) else "none"
    spec = model_spec(config, "paper", dataset, arch, method, eps, 0)
    ramp = 10**5 if any(term.kind == "crown_ibp" for term in spec.method.regularizers) else 0
    training = dataclasses.replace(spec.training, batch=batch, warmup=0, ramp=ramp, steps=10**5)
    spec = dataclasses.replace(spec, training=training)
    shape, classes = tuple(spec.dataset["shape"]), spec.dataset["classes"]
    x = torch.randint(256, (20 * batch, *shape), dtype=torch.uint8, device=device)
    y = torch.randint(classes, (20 * batch,), device=device)
    split, count = Split(x, y), ramp // 2
    run = Run(spec, ImageSet(split, split, {}), device, cuda_graphs=cuda_graphs)
    work = run.make_step([run.learner])

    def step() -> None:
        nonlocal count
        with torch.cuda.stream(run.stream), fusion(fused):
            work(count)
        count += 1

    return step


def lirpa_steps(
    arch: str, shape: tuple[int, ...], classes: int, batch: int, eps: float, device: torch.device
) -> dict[str, Step]:
    """auto_LiRPA's steps on one batch."""
    import lirpa

    net = build_net(arch, shape, classes).to(device)
    x, y = torch.rand(batch, *shape, device=device), torch.randint(classes, (batch,), device=device)
    return {f"auto_LiRPA: {m}": lirpa.training_step(net, x, y, eps, m) for m in ("ibp", "crown_ibp")}


def timed(step: Step, device: torch.device, repeats: int) -> float:
    """Milliseconds a step, over ``repeats`` steps; on a CPU of its time."""
    clock = time.process_time
    if device.type == "cuda":
        clock = time.perf_counter
        torch.cuda.synchronize()
    started = clock()
    for _ in range(repeats):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (clock() - started) / repeats * 1e3


class Counter(TorchDispatchMode):
    """Counts floating-point operations; torch's own counter has hooks that no PGD in a step can pass."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Counts one operator, if it is a convolution or a matrix product."""
        out = func(*args, **(kwargs or {}))
        if func._overloadpacket in flop_registry:
            self.total += flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def flops(step: Step) -> int:
    """Floating-point operations of one step, convolutions and matrix products."""
    with Counter() as counter:
        step()
    return counter.total


def main() -> None:
    """Measures and prints a table for each architecture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--arch", nargs="+", default=["small"])
    parser.add_argument("--shape", nargs=3, type=int, default=[1, 28, 28], metavar=("C", "H", "W"))
    parser.add_argument("--methods", nargs="+", help="(default: all that are not far slower than the rest)")
    parser.add_argument("--eps", default="0.1")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15, help="turns; the median and the fastest are shown")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--cuda-graphs", action="store_true", help="replay our steps as CUDA graphs")
    parser.add_argument("--fused", action="store_true", help="each of our steps once more, compiled")
    parser.add_argument("--lirpa", action="store_true", help="auto_LiRPA's two steps, too (benchmarks/lirpa.py)")
    args = parser.parse_args()
    reproducible(args.threads)
    device, config = torch.device(args.device), load_config(ROOT / "config.yaml")
    shape = tuple(args.shape)
    dataset = DATASETS[shape]
    first_of_grid = {name.partition("-")[0]: name for name in reversed(config["methods"])}
    methods = args.methods or [m for m in config["methods"] if m in first_of_grid.values() and m not in SLOW]
    for arch in args.arch:
        classes = config["datasets"][dataset]["classes"]
        steps = {"plain PyTorch": plain_step(arch, shape, classes, args.batch, device)}
        for method, fused in itertools.product(methods, (False, True) if args.fused else (False,)):
            name = f"{method}, fused" if fused else method
            steps[name] = our_step(config, dataset, arch, method, args.eps, args.batch, device, args.cuda_graphs, fused)
        if args.lirpa:
            steps |= lirpa_steps(arch, shape, classes, args.batch, float(args.eps), device)
        for step in steps.values():
            timed(step, device, 2)
        counted = {name: flops(step) for name, step in steps.items() if name in ("plain PyTorch", *methods)}
        found: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(args.rounds):
            for name, step in steps.items():
                found[name].append(timed(step, device, 2))
        plain, least = found["plain PyTorch"], min(found["plain PyTorch"])
        rows = []
        for name, ms in found.items():
            low, middle, high = statistics.quantiles([a / b for a, b in zip(ms, plain, strict=True)], n=4)
            ours = counted.get(name.removesuffix(", fused"))
            floor = f"×{ours / counted['plain PyTorch']:.2f}" if ours else "–"
            times = f"{statistics.median(ms):.1f}", f"×{middle:.2f} ({low:.2f} to {high:.2f})"
            rows.append([name, *times, f"×{min(ms) / least:.2f}", floor])
        where = torch.cuda.get_device_name() if device.type == "cuda" else f"{args.threads} CPU threads"
        gflop = counted["plain PyTorch"] / 1e9
        print(
            f"\n{arch}, {'×'.join(map(str, shape))}, batch {args.batch}, {where}, torch {torch.__version__}; ", end=""
        )
        print(f"the plain step: {gflop:.2f} GFLOP, {gflop / least * 1e3:.0f} GFLOP/s at its fastest\n")
        headers = ["step", "ms (median)", "ratio (quartiles)", "ratio of the fastest", "floor"]
        print(tabulate(rows, headers, tablefmt="github"), flush=True)


if __name__ == "__main__":
    main()
