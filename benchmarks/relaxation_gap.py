"""How much of the exact margin each certifier leaves: its smallest margin beside the exact one, point by point.

On trained models of the pipeline, or, without ``--models``, on three tiny CNNs that are first trained on the embedded
MNIST at half its resolution. A point counts where the solver has found its exact smallest margin. Seconds are the
processor's, of one thread.

    python benchmarks/relaxation_gap.py                                             the tiny CNNs
    python benchmarks/relaxation_gap.py --models results/*/mnist/small/*/*/seed0/model.safetensors \
        --data data/mnist.safetensors --eps 0.01 0.03 0.1 --points 10               models of the pipeline
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from tabulate import tabulate
from torch import Tensor

from dmcore.certify import margin_bounds
from dmcore.checkpoint import load_model
from dmcore.data import load_images, test_points
from dmcore.errors import UserError
from dmcore.extras.exact import exact_margins
from dmcore.nets import Network
from dmcore.nets.builder import Builder
from dmcore.nets.network import INPUT
from dmcore.registries import certifier
from dmcore.regularizers import Batch
from dmcore.spec import Method, Term
from dmcore.training.objective import Objective
from doublemargin.experiment.sources.idx import read_idx

ROOT = Path(__file__).parents[1]
SAME = 1e-4  # how far apart the two sides of an exact margin may be
STEPS, BATCH, WARMUP, RAMP = 600, 100, 50, 300
METHODS = {
    "normal": Method("normal"),
    "ibp": Method("ibp", (Term("worst_case", 0.5, True, {"domain": "interval"}),)),
    "dm": Method("dm", (Term("worst_case", 0.5, True, {"domain": "double_margin"}),)),
}


@dataclass
class Case:
    """A net in float64 and the points it is measured on."""

    name: str
    net: Network
    x: Tensor
    y: Tensor


def tiny_net() -> Network:
    """Two convolutions and two fully connected layers, 344 ReLUs."""
    net = Network()
    builder = Builder(net, INPUT, (1, 14, 14))
    for filters in (4, 8):
        builder.conv(filters, kernel=4, stride=2)
        builder.relu()
    builder.fc(20)
    builder.relu()
    builder.fc(10)
    return net


def trained(method: Method, x: Tensor, y: Tensor, eps: float) -> Network:
    """A tiny net after ``STEPS`` steps of Adam, ε and λ rising in the ramp."""
    torch.manual_seed(0)
    net, objective = tiny_net(), Objective(method)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for step in range(STEPS):
        ramp_factor = min(max(step - WARMUP, 0) / RAMP, 1.0)
        chosen = torch.randint(len(x), (BATCH,))
        batch = Batch(net, x[chosen], y[chosen], ramp_factor * eps, ramp=ramp_factor)
        loss, _ = objective(batch, ramping=step >= WARMUP)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def tiny_cases(eps: float, points: int) -> Iterator[Case]:
    """Tiny CNNs of the three methods, and test points."""
    images = read_idx(sorted((ROOT / "resources/mnist").glob("*.gz")), (1, 28, 28))
    x = {s: F.avg_pool2d(torch.from_numpy(images[f"{s}_x"].copy()).float() / 255, 2) for s in ("train", "test")}
    y = {s: torch.from_numpy(images[f"{s}_y"].copy()).long() for s in ("train", "test")}
    for name, method in METHODS.items():
        net = trained(method, x["train"], y["train"], eps)
        chosen = test_points(len(x["test"]), points, 0)
        yield Case(f"tiny {name}", net.double(), x["test"][chosen].double(), y["test"][chosen])


def pipeline_cases(models: list[Path], data: Path, points: int) -> Iterator[Case]:
    """Models of the pipeline, and test points."""
    images = load_images(data)
    chosen = test_points(len(images.test), points, 0)
    for path in models:
        net, spec, _ = load_model(path)
        yield Case(spec.path, net.double(), images.test.x[chosen].double() / 255, images.test.y[chosen].long())


def rows(case: Case, eps: float, time_limit: float) -> list[list[object]]:
    """A line for the exact answer and one for each certifier."""
    started = time.process_time()
    try:
        found = exact_margins(case.net, case.x, case.y, eps, time_limit=time_limit)
    except UserError as error:
        print(f"{case.name} at {eps}: {error}")
        return [[case.name, eps, "exact", "refused"]]
    seconds = (time.process_time() - started) / len(case.x)
    lower, upper = found.lower.amin(1), found.upper.amin(1)
    known = upper - lower < SAME
    robust = known & (lower > 0)
    if not known.any():
        return [[case.name, eps, "exact", f"0/{len(known)}"]]
    exact = [f"{known.sum()}/{len(known)}", f"{lower[known].mean():.4f}", "", f"{robust.sum()}", f"{seconds:.2f}"]
    table: list[list[object]] = [[case.name, eps, "exact", *exact]]
    for name in certifier.names():
        if name == "milp":
            continue
        started = time.process_time()
        bound = margin_bounds(case.net, case.x, case.y, eps, certifier=name).amin(1)
        seconds = (time.process_time() - started) / len(case.x)
        gap = (lower - bound)[known]
        found_robust = f"{((bound > 0) & robust).sum()}"
        shown = ["", f"{bound[known].mean():.4f}", f"{gap.mean():.4f}", found_robust, f"{seconds:.2f}"]
        table.append(["", "", name, *shown])
    return table


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", type=Path, help="model.safetensors of the pipeline")
    parser.add_argument("--data", type=Path, help="the prepared data set of the models")
    parser.add_argument("--eps", nargs="+", type=float, default=[0.01, 0.03, 0.1])
    parser.add_argument("--eps-train", type=float, default=0.1, help="of the tiny CNNs")
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--time-limit", type=float, default=20.0, help="seconds for one of a point's margins")
    args = parser.parse_args()
    if bool(args.models) != bool(args.data):
        parser.error("--models and --data go together")
    torch.set_num_threads(1)
    cases = pipeline_cases(args.models, args.data, args.points) if args.models else None
    headers = ["net", "ε", "certifier", "solved", "smallest margin", "gap", "robust", "CPU s a point"]
    table = []
    for case in cases or tiny_cases(args.eps_train, args.points):
        for eps in args.eps:
            table += rows(case, eps, args.time_limit)
    print(tabulate(table, headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
