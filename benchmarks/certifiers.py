"""How many test points each certifier certifies of trained models, and its time: the tables of docs/certifiers.md.

    python benchmarks/certifiers.py results/short/mnist/small/{normal/none,dm/0.3,ibp/0.3}/seed0/model.safetensors \
        --data data/mnist.safetensors --points 20 --eps 0.01 0.05 0.1

``best`` counts the points that at least one of CNN-Cert's variants certifies, in the time of all three. Seconds are of
processor time a point, on one thread; a point whose margin is too close to 0 is certified twice (float64).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from tabulate import tabulate

from dmcore.certify import certify_points
from dmcore.checkpoint import load_model
from dmcore.data import load_images, test_points

VARIANTS = ("cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero")


def measure(model: Path, data: Path, count: int, radii: list[float], extra: list[str]) -> list[list[object]]:
    """A line for each ε: of every certifier the points certified, the mean smallest margin, seconds a point."""
    net, spec, _ = load_model(model)
    images = load_images(data)
    indices = test_points(len(images.test), count, 0)
    x, y = images.test.x[indices].float().div(255), images.test.y[indices]
    lines = []
    for eps in radii:
        certified, margins, seconds = {}, {}, {}
        for name in (*VARIANTS, *extra):
            started = time.process_time()
            verdicts = certify_points(
                net, x, y, eps, certifier=name.removesuffix("+ibp"), intersect_ibp=name.endswith("+ibp")
            )
            seconds[name] = (time.process_time() - started) / count
            certified[name], margins[name] = verdicts.certified, verdicts.margin
        best = torch.stack([certified[name] for name in VARIANTS]).any(0)
        margins["best"] = torch.stack([margins[name] for name in VARIANTS]).amax(0)
        shown = [(best, margins["best"], sum(seconds[name] for name in VARIANTS))]
        shown += [(certified[name], margins[name], seconds[name]) for name in (*VARIANTS, *extra)]
        lines.append(
            [spec.path.split("/")[3], eps] + [f"{int(c.sum())} ({m.mean():.2f}; {s:.2f} s)" for c, m, s in shown]
        )
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Prints the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="prepared data file")
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--eps", nargs="+", type=float, default=[0.01, 0.05, 0.1])
    parser.add_argument(
        "--certifiers", nargs="+", default=["alpha"], help="beside the three variants; +ibp: with intersect_ibp"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = [line for m in args.models for line in measure(m, args.data, args.points, args.eps, args.certifiers)]
    head = ["model", "ε", "best of three", *VARIANTS, *args.certifiers]
    print(tabulate(lines, head, tablefmt="github"))


if __name__ == "__main__":
    main()
