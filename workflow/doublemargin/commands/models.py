"""Data, specifications and trained models."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dmcore.recognise import tensors
from doublemargin.commands.shared import Command, compute_arguments, config_argument, saving_arguments, spec_arguments
from doublemargin.files import check_writable, record


def add_to(command: Command) -> None:
    """Declares these commands."""
    data = command("data", _data, "Find a data set's source, check it and write its prepared file.")
    data.add_argument("name", help="the data set's name, e.g. mnist")
    spec_arguments(data, "its entry in the config, as JSON")
    data.add_argument("--places", nargs="*", default=[], help="your own folders or URLs, with a folder for each set")
    data.add_argument("--cache", type=Path, default=Path("data/sources"), help="for downloads (default: %(default)s)")
    data.add_argument("--resources", type=Path, default=Path("resources"), help="own copies (default: %(default)s)")
    data.add_argument("--out", type=Path, required=True, help="prepared file to write")

    spec = command("spec", _show_spec, "Print what the config says of a model, data set or report, as JSON.")
    what = "a model such as demo/mnist/small/dm/0.3/seed0, a data set, a schedule, or one of its demo/tables/table2"
    spec.add_argument("what", help=what)
    config_argument(spec)

    train = command("train", _train, "Train one model.")
    spec_arguments(train, "the model's specification, as JSON")
    train.add_argument("--data", type=Path, required=True, help="prepared data file")
    train.add_argument("--model", type=Path, required=True, help="weights to write (safetensors)")
    train.add_argument("--record", type=Path, required=True, help="training record to write (JSON)")
    train.add_argument("--cuda-graphs", action="store_true", help="on a GPU, replay each step as a CUDA graph")
    train.add_argument("--fused", action="store_true", help="compile chains of element-wise operations as one kernel")
    compute_arguments(train)
    saving_arguments(train)


def _data(args: argparse.Namespace) -> None:
    check_writable(args.out, tensors("dmcore.images"))
    from doublemargin.experiment.sources import prepare

    info = prepare(args.name, args.spec, args.out, args.places, args.cache, args.resources)
    print(f"{args.out}: {info['train']} training and {info['test']} test images of {args.name} ({info['variant']})")
    print(f"to pin them: content: {info['sha256']}")


def _show_spec(args: argparse.Namespace) -> None:
    from doublemargin.experiment.config import given_config
    from doublemargin.experiment.exhibits import find_exhibit, report_spec
    from doublemargin.experiment.grid import Grid, find_model
    from doublemargin.experiment.resolve import data_spec

    config = given_config(args.config, *args.configfile)
    if args.what in config["datasets"]:
        spec = data_spec(config, args.what)
    elif args.what in config["schedules"]:
        spec = report_spec(Grid(config, args.what))
    elif args.what.count("/") == 2:
        spec = find_exhibit(config, args.what)
    else:
        spec = find_model(config, args.what).to_dict()
    print(json.dumps(spec))


def _train(args: argparse.Namespace) -> None:
    check_writable(args.model, tensors("dmcore.model"))
    check_writable(args.record, record("parameters"))
    from dmcore.spec import ModelSpec
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.train import Task, train_jobs

    spec = ModelSpec.from_dict(args.spec)
    device = job_device(args.device, args.threads, args.gpu_slots)
    task = Task(spec, args.data, args.model, args.record)
    (trained,) = train_jobs([task], device, args.save_every, args.cuda_graphs, fused=args.fused)
    print(f"{spec.path}: test accuracy {trained['test_accuracy']:.2%} after {trained['seconds']:.0f} s")
