"""Tools beside the pipeline: rankings of regularisers, files for other verifiers, information."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from doublemargin.arguments import count, one_of, positive, radius_text, seed
from doublemargin.commands.shared import Command, compute_arguments, points_arguments, radii_arguments
from doublemargin.files import INSTANCES, ONNX, check_writable, record

PAGES = {
    "architectures": "every architecture, layer by layer",
    "config": "every key of config.yaml",
    "results": "what the records in results/ hold",
    "targets": "everything that Snakemake can be asked for",
}
"""The pages that ``dmcore info`` writes, each by a module of that name in workflow/doublemargin/pages."""


def add_to(command: Command) -> None:
    """Declares these commands."""
    compare = command("regularizers", _regularizers, "Rank regularisers at a trained model by Propositions 1 and 2.")
    compare.add_argument("--model", type=Path, required=True, help="weights from `train`")
    compare.add_argument("--data", type=Path, required=True, help="prepared data file")
    compare.add_argument(
        "--config", type=Path, default=Path("config.yaml"), help="of the methods (default: %(default)s)"
    )
    compare.add_argument("--target", required=True, help="the method whose regulariser the others are to be near to")
    compare.add_argument("--methods", nargs="+", required=True, help="methods of the config, e.g. ibp dm l1")
    compare.add_argument("--eps", type=radius_text, help="ε of the regularisers, in pixel scale, e.g. 0.05 or 8/255")
    for name, kind, default, what in (
        ("points", count, 500, "how many training points"),
        ("points-seed", seed, 0, "seed of their selection"),
        ("seed", seed, 0, "seed of attacks and projections"),
        ("tolerance", positive, 1e-3, "relative residual of the solver"),
        ("max-steps", count, 200, "most steps of the solver"),
        ("points-at-once", count, 100, "bounds the memory"),
    ):
        compare.add_argument(f"--{name}", type=kind, default=default, help=f"{what} (default: %(default)s)")
    compare.add_argument(
        "--curvature",
        type=one_of("gauss_newton", "hessian"),
        default="gauss_newton",
        help="H, the curvature: gauss_newton or hessian",
    )
    compare.add_argument("--damping", type=positive, nargs="+", default=[0.01], help="γ in (H + γI)⁻¹, a table each")
    compare.add_argument("--float64", action="store_true", help="compute in float64")
    compare.add_argument("--out", type=Path, help="record to write (JSON)")
    compute_arguments(compare)

    onnx = command("onnx", _onnx, "Write a trained model as an ONNX file, for other verifiers.")
    onnx.add_argument("--model", type=Path, required=True, help="weights from `train`")
    onnx.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    vnnlib = command("vnnlib", _vnnlib, "Write test points' properties as VNN-LIB, with the model as ONNX and a list.")
    vnnlib.add_argument("--model", type=Path, required=True, help="weights from `train`")
    points_arguments(vnnlib)
    radii_arguments(vnnlib)
    vnnlib.add_argument("--clip-input", action="store_true", help="cut the ball to [0, 1]")
    vnnlib.add_argument("--timeout", type=count, default=300, help="seconds for each instance (default: %(default)s)")
    vnnlib.add_argument("--out", type=Path, required=True, help="folder for onnx/, vnnlib/ and instances.csv")

    info = command(
        "info", _info, "Print versions, devices and what is registered; or what a model file says of itself."
    )
    info.add_argument("model", type=Path, nargs="?", help="weights from `train`")
    for page, what in PAGES.items():
        info.add_argument(f"--{page}", dest="page", action="store_const", const=page, help=f"print {what}")
    info.add_argument("--schema", action="store_true", help="print the JSON schema of config.yaml, for editors")


def _regularizers(args: argparse.Namespace) -> None:
    check_writable(args.out, record("target"))
    from doublemargin.commands.ranking import table
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.regularizers import Settings, regularizers_job
    from doublemargin.files import write_json

    settings = Settings(**{name: getattr(args, name) for name in Settings.__dataclass_fields__})
    device = job_device(args.device, args.threads, args.gpu_slots)
    ranked = regularizers_job(args.model, args.data, args.config, args.target, args.methods, args.eps, settings, device)
    print(table(ranked), end="")
    if args.out is not None:
        write_json(args.out, ranked)


def _onnx(args: argparse.Namespace) -> None:
    check_writable(args.out, ONNX)
    from doublemargin.experiment.jobs.exchange import onnx_job

    onnx_job(args.model, args.out)


def _vnnlib(args: argparse.Namespace) -> None:
    check_writable(args.out / "instances.csv", INSTANCES)
    check_writable(args.out / "onnx/net.onnx", ONNX)
    from doublemargin.experiment.jobs.exchange import vnnlib_job

    settings = {name: getattr(args, name) for name in ("norm", "points", "points_seed", "clip_input", "timeout")}
    written, points = vnnlib_job(args.model, args.data, eps_ids=args.eps, out=args.out, **settings)
    print(f"{args.out}: {written} of {points} points at {len(args.eps)} ε; misclassified points are left out")


def _info(args: argparse.Namespace) -> None:
    if args.page:
        from importlib import import_module

        print(import_module(f"doublemargin.pages.{args.page}").page(), end="")
        return
    if args.schema:
        from doublemargin.experiment.config_models import json_schema

        print(json.dumps(json_schema(), indent=2))
        return
    import torch

    from dmcore.checkpoint import load_model
    from dmcore.registries import architecture, attack, certifier, forward_domain, regularizer
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.provenance import provenance
    from doublemargin.experiment.registries import reader

    if args.model is not None:
        net, spec, weights = load_model(args.model)
        print(f"{spec.path}\nweights sha256 {weights}\nspec {json.dumps(spec.to_dict())}\n{net}")
        return
    for key, value in provenance(job_device("cpu", torch.get_num_threads())).items():
        print(f"{key}: {value}")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    print(f"GPUs: {', '.join(gpus) or 'none'}")
    for registry in (architecture, attack, certifier, forward_domain, reader, regularizer):
        print(f"{registry.what.replace('_', ' ')}s: {', '.join(registry.names())}")
