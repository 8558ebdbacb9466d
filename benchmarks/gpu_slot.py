"""Trains as many models as fit into some minutes of a GPU machine that has no network and no Snakemake.

Here, then on that machine, then here again:

    python benchmarks/gpu_slot.py pack BUNDLE --models paper/mnist/small/dm/0.3/seed0 ...   specifications, by priority
    python benchmarks/gpu_slot.py check BUNDLE                       graphs against eager steps, together against alone
    python benchmarks/gpu_slot.py run BUNDLE --out DIR --minutes 4   trains until then; archives of 15 MB in DIR
    python benchmarks/gpu_slot.py home ARCHIVE... --results results  puts the models where `snakemake` expects them

A lent machine can vanish: several short runs lose less than one long one.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from dmcore.data import ImageSet, Split
from dmcore.device import reproducible
from dmcore.fusion import fusion
from dmcore.nets import Network
from dmcore.spec import ModelSpec
from dmcore.training.loop import Run, finish, train
from dmcore.training.team import teams
from doublemargin.experiment.jobs.train import Task, train_jobs

ARCHIVE = 15 * 2**20
TIMED = 600
STACKS = (1, 4, 8)
ROOT = Path(__file__).parents[1]


def pack(bundle: Path, models: list[str]) -> None:
    """Writes the specifications of models and data sets."""
    from doublemargin.experiment.config import load_config
    from doublemargin.experiment.grid import find_model
    from doublemargin.experiment.resolve import data_spec

    config = load_config(ROOT / "config.yaml")
    specs = [find_model(config, path) for path in models]
    bundle.mkdir(parents=True, exist_ok=True)
    content = {
        "models": [spec.to_dict() for spec in specs],
        "datasets": {name: data_spec(config, name) for name in sorted({spec.dataset_name for spec in specs})},
    }
    (bundle / "bundle.json").write_text(json.dumps(content))
    print(f"{len(specs)} models, {len(content['datasets'])} data sets: {bundle}/bundle.json")


def unpacked(bundle: Path) -> tuple[list[ModelSpec], dict[str, dict]]:
    """The specifications of a bundle."""
    content = json.loads((bundle / "bundle.json").read_text())
    return [ModelSpec.from_dict(spec) for spec in content["models"]], content["datasets"]


def noise(spec: ModelSpec, points: int = 4000) -> ImageSet:
    """Random images of the shape that a specification asks for."""
    generator = torch.Generator().manual_seed(0)
    shape, classes = spec.dataset["shape"], spec.dataset["classes"]
    x = torch.randint(256, (points, *shape), dtype=torch.uint8, generator=generator)
    split = Split(x, torch.randint(classes, (points,), generator=generator))
    return ImageSet(split, Split(x[:1000], split.y[:1000]), {"name": spec.dataset_name, "sha256": "0"})


def shortened(spec: ModelSpec, steps: int) -> ModelSpec:
    """The same training with its warm-up, ramp and end within so many steps."""
    short = dataclasses.replace(
        spec.training, steps=steps, warmup=steps // 4, ramp=steps // 4, lr_drops=(steps * 3 // 4,)
    )
    return dataclasses.replace(spec, training=short)


def say(*words: object) -> None:
    """Prints at once, with the time."""
    print(f"[{time.monotonic() - START:5.0f} s]", *words, flush=True)


def check(bundle: Path, device: torch.device) -> None:
    """Prints whether each method's steps can be recorded and change nothing, and how long steps take."""
    specs, _ = unpacked(bundle)
    kinds = {(spec.dataset_name, spec.arch, spec.method.name): spec for spec in specs}
    good = True
    for key, spec in kinds.items():
        images, short = noise(spec).to(device), shortened(spec, 24)
        try:
            eager = train(short, images, device)
            replayed = train(short, images, device, cuda_graphs=True)
            worst = apart(eager.net, replayed.net)
            told = abs(eager.history[-1]["loss"] - replayed.history[-1]["loss"])
            say("/".join(key), f"graphs against eager: weights differ by {worst:.1e}, the last loss by {told:.1e}")
            good &= worst < 1e-2
        except Exception as error:
            say("/".join(key), f"FAILED: {str(error)[:300]}")
            good = False
    together, stacked = (
        [Run(shortened(spec, 40), noise(spec).to(device), device, cuda_graphs=True) for spec in specs[:8]]
        for _ in range(2)
    )
    finish(together)
    finish(stacked, stack=8)
    alone = train(shortened(specs[0], 40), noise(specs[0]).to(device), device, cuda_graphs=True)
    same = apart(alone.net, together[0].net) == 0
    off = max(apart(a.net, b.net) for a, b in zip(together, stacked, strict=True))
    say(f"together as alone, to the bit: {same}; stacked: weights differ by {off:.1e}")
    good &= same and off < 1e-2
    small = [spec for spec in specs if spec.dataset_name == "mnist"]
    long = [spec for spec in specs if spec.dataset_name != "mnist"]
    sets = {"1": small[:1], "12": small[:12], "MNIST": small, "all": specs, "others": long}
    for (name, some), stack in itertools.product(sets.items(), STACKS):
        if not some or (stack > 1 and len(some) == 1):
            continue
        good &= tried(name, some, device, stack) > 0
    say("GOOD" if good else "NOT GOOD")


def apart(one: Network, other: Network) -> float:
    """The largest difference of two networks' weights, as a share of the largest weight of its layer."""
    both = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() / a.abs().max().item() for a, b in both)


def measure(name: str, specs: list[ModelSpec], device: torch.device, stack: int, seconds: float = 3.0) -> float:
    """The steps a second of models that train together; also prints them, by data set and method."""
    images = {spec.dataset_name: noise(spec).to(device) for spec in specs}
    runs = []
    for spec in specs:
        training = dataclasses.replace(spec.training, warmup=0, ramp=100)
        urgent = spec.training.steps > 2 * min(s.training.steps for s in specs)
        whole = dataclasses.replace(spec, training=training)
        runs.append(Run(whole, images[spec.dataset_name], device, cuda_graphs=True, urgent=urgent))
    active = [(team, team.blocks()) for team in teams(runs, stack)]

    def work(limit: float) -> float:
        started = time.monotonic()
        while time.monotonic() < started + limit:
            for team, blocks in active:
                team.go_on(blocks)
        return time.monotonic() - started

    work(1.0 + 0.2 * len(runs))  # graphs are recorded
    before = [run.at.step for run in runs]
    span = work(seconds)
    rates = [(run.at.step - b) / span for run, b in zip(runs, before, strict=True)]
    needs = [run.spec.training.steps / rate if rate else 0 for run, rate in zip(runs, rates, strict=True)]
    say(
        f"{name}: {len(runs)} in stacks of {stack}, {sum(rates):.0f} steps/s; the whole training would take (s):",
        {f"{r.spec.dataset_name[:1]}/{r.spec.method.name}": round(n) for r, n in zip(runs, needs, strict=True)},
    )
    return sum(rates)


def tried(name: str, specs: list[ModelSpec], device: torch.device, stack: int) -> float:
    """What :func:`measure` returns, or 0 if it fails, which ends nothing."""
    try:
        return measure(name, specs, device, stack)
    except Exception as error:
        say(name, f"FAILED in stacks of {stack}: {str(error)[:300]}")
        return 0.0


def run(bundle: Path, out: Path, minutes: float, places: list[str], device: torch.device, graphs: bool) -> None:
    """Trains until the time is over, all data sets at once; writes archives of the finished models."""
    deadline = START + 60 * minutes
    from doublemargin.experiment.sources import prepare

    specs, datasets = unpacked(bundle)
    for name, spec in datasets.items():
        prepared = bundle / f"{name}.safetensors"
        try:
            info = prepare(name, spec, prepared, places, bundle / "cache", ROOT / "resources")
        except Exception as error:
            say(name, f"FAILED: {error}")
            continue
        say(name, info["train"], info["test"], info["variant"])
    tasks = []
    for spec in specs:
        prepared, folder = bundle / f"{spec.dataset_name}.safetensors", bundle / "models" / spec.path
        if prepared.exists():
            tasks.append(Task(spec, prepared, folder / "model.safetensors", folder / "training.json"))
    say(f"{len(tasks)} models until {deadline - START:.0f} s")
    fused = device.type == "cuda" and fusion_helps(specs, device)
    stack = 1
    if len(specs) > 1:
        with fusion(fused):
            stack = max(STACKS, key=lambda most: tried("all", specs, device, most))
    say(f"stacks of at most {stack}")
    done = train_jobs(tasks, device, 1e9, graphs, deadline, fused, stack)
    for record in done:
        say(record["model"], f"{record['seconds']:.0f} s", f"{record['test_accuracy']:.2%}")
    archives(bundle / "models", [record["model"] for record in done], out)


def fusion_helps(specs: list[ModelSpec], device: torch.device) -> bool:
    """Compiles what can be fused, and says whether that goes well, changes little and pays."""
    for spec in {spec.method.name: spec for spec in specs if spec.method.name in ("dm", "ibp")}.values():
        images, losses, times = noise(spec).to(device), [], []
        try:
            for fused in (False, True):
                with fusion(fused):
                    short = train(shortened(spec, 40), images, device, cuda_graphs=True)
                    long = train(shortened(spec, TIMED), images, device, cuda_graphs=True)
                losses.append([entry["loss"] for entry in short.history])
                times.append(round(long.seconds, 2))
        except Exception as error:
            say("fusing", spec.path, f"FAILED: {str(error)[:300]}")
            return False
        off = max(abs(a - b) / a for a, b in zip(*losses, strict=True))
        say("fusing", spec.path, f"losses differ by {off:.1e}; seconds for {TIMED} steps {times}")
        if times[1] > times[0] or not off < 1e-2:
            return False
    return True


def archives(models: Path, paths: Iterable[str], out: Path) -> None:
    """Writes the models into archives of at most 15 MB."""
    out.mkdir(parents=True, exist_ok=True)
    parts: list[list[str]] = []
    size = ARCHIVE
    for path in paths:
        grown = sum(file.stat().st_size for file in (models / path).iterdir())
        if size + grown > ARCHIVE:
            parts, size = [*parts, []], 0
        parts[-1].append(path)
        size += grown
    for number, part in enumerate(parts):
        with tarfile.open(out / f"models{number}.tar", "w") as tar:
            for path in part:
                tar.add(models / path, path)
    say(f"{len(parts)} archives in {out}")


def home(files: list[Path], results: Path) -> None:
    """Puts the models of archives where the pipeline expects them; keeps what is there."""
    for file in files:
        with tarfile.open(file) as tar:
            for member in tar.getmembers():
                to = results / member.name
                if member.isfile() and not to.exists():
                    tar.extract(member, results, filter="data")
                    if to.name == "training.json":
                        print(to.parent)


START = time.monotonic()


def main() -> None:
    """One of the four."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("pack", "check", "run"):
        commands.add_parser(name).add_argument("bundle", type=Path)
    commands.choices["pack"].add_argument("--models", nargs="+", required=True)
    for name in ("check", "run"):
        commands.choices[name].add_argument("--device", default="cuda")
    training = commands.choices["run"]
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--minutes", type=float, default=9)
    training.add_argument("--places", nargs="*", default=[])
    training.add_argument("--eager", action="store_true", help="steps one by one, not as CUDA graphs")
    bring = commands.add_parser("home")
    bring.add_argument("archives", nargs="+", type=Path)
    bring.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    if args.command == "pack":
        pack(args.bundle, args.models)
    elif args.command == "home":
        home(args.archives, args.results)
    else:
        reproducible(1)
        device = torch.device(args.device)
        if args.command == "check":
            check(args.bundle, device)
        else:
            run(args.bundle, args.out, args.minutes, args.places, device, not args.eager)


if __name__ == "__main__":
    main()
