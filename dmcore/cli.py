"""The command line. Each command is one step of the pipeline; the rules call them as a user would.

torch is imported only by the commands that compute, so that tables need none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmcore.arguments import (
    Parser,
    certifier_name,
    count,
    json_object,
    norm_name,
    one_of,
    positive,
    radius_text,
    seconds,
    seed,
    threads,
)
from dmcore.ending import one_line
from dmcore.errors import UserError, nearest
from dmcore.files import check_writable

if TYPE_CHECKING:
    from dmcore.report.records import Records
PAGES = {
    "architectures": "every architecture, layer by layer: docs/architectures.md",
    "config": "every key of config.yaml: docs/config.md",
    "targets": "everything that Snakemake can be asked for: docs/targets.md",
}
"""The pages that ``dmcore info`` writes, each by a module of that name in dmcore/describe."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a user's mistake ends it with one line and exit code 2."""
    with one_line():
        parsed = _parsed(list(sys.argv[1:] if arguments is None else arguments))
        parsed.run(parsed)


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = _parser()
    (commands,) = [action.choices for action in parser._actions if action.choices]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        parser.error(f"unknown command '{arguments[0]}': {nearest(arguments[0], commands)}")
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands[arguments[0]].refuse(unknown[0])
    return parsed


def _parser() -> Parser:
    parser = Parser(prog="dmcore", description="Train, certify and tabulate verifiable networks.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Any, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub

    data = command("data", _data, "Find a data set's source, check it and write its prepared file.")
    data.add_argument("name", help="the data set's name, e.g. mnist")
    _spec(data, "its entry in the config, as JSON")
    data.add_argument("--places", nargs="*", default=[], help="your own folders or URLs, with a folder for each set")
    data.add_argument("--cache", type=Path, default=Path("data/sources"), help="for downloads (default: %(default)s)")
    data.add_argument("--resources", type=Path, default=Path("resources"), help="own copies (default: %(default)s)")
    data.add_argument("--out", type=Path, required=True, help="prepared file to write")

    spec = command("spec", _show_spec, "Print what the config says of a model, data set or report, as JSON for --spec.")
    spec.add_argument("what", help="a model such as demo/mnist/small/dm/0.3/seed0, a data set, or a schedule")
    spec.add_argument("--config", type=Path, default=Path("config.yaml"), help="config file (default: %(default)s)")

    train = command("train", _train, "Train one model.")
    _spec(train, "the model's specification, as JSON")
    train.add_argument("--data", type=Path, required=True, help="prepared data file")
    train.add_argument("--model", type=Path, required=True, help="weights to write (safetensors)")
    train.add_argument("--record", type=Path, required=True, help="training record to write (JSON)")
    train.add_argument("--cuda-graphs", action="store_true", help="on a GPU, replay each step as a CUDA graph")
    train.add_argument(
        "--save-every", type=seconds, default=60.0, help="seconds between saved states (default: %(default)s)"
    )
    _compute(train)

    certify = command("certify", _certify, "Certify the shared test points at one or more ε.")
    radius = command(
        "radius", _radius, "Bisect for the largest ε at which each of the shared test points is certified."
    )
    attack = command(
        "attack", _attack, "Attack the shared test points at one or more ε, to bound robust accuracy above."
    )
    for sub in (certify, radius, attack):
        sub.add_argument("--model", type=Path, required=True, help="weights from `train`")
        _points(sub)
        _compute(sub)
    for sub in (certify, radius):
        names = "cnn-cert-relu, cnn-cert-ada, cnn-cert-zero, ibp, alpha or milp"
        sub.add_argument("--certifier", type=certifier_name, required=True, help=names)
        sub.add_argument("--clip-input", action="store_true", help="cut the ball to [0, 1]")
    for sub in (certify, attack):
        _radii(sub)
        sub.add_argument("--out", type=Path, required=True, help="folder for one JSON file an ε")
    certify.add_argument("--intersect-ibp", action="store_true", help="let no linear bound leave the interval bounds")
    radius.add_argument("--upper", type=positive, help="largest ε to try (default: [0, 1]'s diameter)")
    radius.add_argument("--tolerance", type=positive, default=0.01, help="relative (default: %(default)s)")
    radius.add_argument("--out", type=Path, required=True, help="record to write (JSON)")
    attack.add_argument(
        "--attack", default="pgd", help="pgd, or auto with doublemargin[attacks] (default: %(default)s)"
    )
    attack.add_argument("--seed", type=seed, default=0, help="of its random numbers (default: %(default)s)")
    attack.add_argument("--restarts", type=count, default=3, help="(default: %(default)s)")
    attack.add_argument("--steps", type=count, default=50, help="gradient steps of a try (default: %(default)s)")
    beside = command("bracket", _bracket, "Set certified and attacked accuracy side by side; fails if they contradict.")
    beside.add_argument(
        "files", type=Path, nargs="+", help="from `certify` and `attack` of one model, or their folders"
    )
    beside.add_argument("--out", type=Path, help="Markdown to write")

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
    _compute(compare)

    onnx = command("onnx", _onnx, "Write a trained model as an ONNX file, for other verifiers.")
    onnx.add_argument("--model", type=Path, required=True, help="weights from `train`")
    onnx.add_argument("--out", type=Path, required=True, help="ONNX file to write")
    vnnlib = command("vnnlib", _vnnlib, "Write test points' properties as VNN-LIB, with the model as ONNX and a list.")
    vnnlib.add_argument("--model", type=Path, required=True, help="weights from `train`")
    _points(vnnlib)
    _radii(vnnlib)
    vnnlib.add_argument("--clip-input", action="store_true", help="cut the ball to [0, 1]")
    vnnlib.add_argument("--timeout", type=count, default=300, help="seconds for each instance (default: %(default)s)")
    vnnlib.add_argument("--out", type=Path, required=True, help="folder for onnx/, vnnlib/ and instances.csv")

    collect = command("collect", _collect, "Gather a schedule's result files into its tidy records.")
    collect.add_argument("--results", type=Path, required=True, help="the results folder")
    collect.add_argument("--schedule", required=True, help="the schedule to gather")
    collect.add_argument("--out", type=Path, required=True, help="folder for the records")

    for kind, run in (("tables", _tables), ("figures", _figures)):
        sub = command(kind, run, f"Make some {kind} from tidy records; cells not run yet show as such.")
        _spec(sub, f"resolved descriptions of the {kind} by name, as JSON")
        _from_records(sub)
    document = command("document", _document, "Make all-tables.tex, a LaTeX document of tables that lie beside it.")
    document.add_argument("tables", nargs="+", help="the tables' names, in order")
    document.add_argument("--schedule", required=True, help="the schedule that they are of")
    document.add_argument("--out", type=Path, required=True, help="folder of the tables")
    comparisons = command("comparisons", _comparisons, "Set accuracy tables beside the paper's, from tidy records.")
    _spec(comparisons, "resolved descriptions of the tables by name, as JSON")
    _from_records(comparisons)
    for name, run, what in (
        ("overview", _overview, "Count what of a report has been run, on what, at what cost."),
        ("verdict", _verdict, "Judge the paper's claims by tidy records."),
    ):
        sub = command(name, run, what)
        _spec(sub, "a schedule's report as JSON, as `dmcore spec SCHEDULE` prints it")
        _from_records(sub)
    report = command("report", _report, "Gather all records and make everything of a report that they allow.")
    report.add_argument("schedules", nargs="*", help="by default those with results, or else the config's own")
    report.add_argument(
        "--config", default="config.yaml", help="config file, or a config as JSON (default: %(default)s)"
    )
    report.add_argument("--results", type=Path, default=Path("results"), help="(default: %(default)s)")

    history = command("history", _history, "Draw the course of a training from its record.")
    history.add_argument("--record", type=Path, required=True, help="training record from `train`")
    history.add_argument("--out", type=Path, required=True, help="PNG to write")

    info = command(
        "info", _info, "Print versions, devices and what is registered; or what a model file says of itself."
    )
    info.add_argument("model", type=Path, nargs="?", help="weights from `train`")
    for page, what in PAGES.items():
        info.add_argument(f"--{page}", dest="page", action="store_const", const=page, help=f"print {what}")
    return parser


def _spec(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--spec", type=json_object, required=True, help=what)


def _points(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="prepared data file")
    parser.add_argument("--norm", type=norm_name, default="linf", help="linf, l2, l1 or l0 (default: %(default)s)")
    parser.add_argument("--points", type=count, default=200, help="how many test points (default: %(default)s)")
    parser.add_argument("--points-seed", type=seed, default=0, help="seed of their selection (default: %(default)s)")


def _radii(parser: argparse.ArgumentParser) -> None:
    what = "radii in pixel scale, e.g. 0 0.1 8/255; l0 counts inputs"
    parser.add_argument("--eps", type=radius_text, nargs="+", required=True, help=what)


def _from_records(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--records", type=Path, help="folder with tidy records, as `collect` writes them")
    source.add_argument("--results", type=Path, help="results folder, to read the result files themselves")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")


def _compute(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", default="auto", type=one_of("auto", "cpu", "cuda"), help="auto, cpu or cuda (default: %(default)s)"
    )
    parser.add_argument("--threads", type=threads, default=1, help="CPU threads (default: %(default)s)")


def _data(args: argparse.Namespace) -> None:
    check_writable(args.out)
    from dmcore.data.sources import prepare

    info = prepare(args.name, args.spec, args.out, args.places, args.cache, args.resources)
    print(f"{args.out}: {info['train']} training and {info['test']} test images of {args.name} ({info['variant']})")


def _show_spec(args: argparse.Namespace) -> None:
    from dmcore.config import load_config
    from dmcore.exhibits import report_spec
    from dmcore.grid import Grid, find_model
    from dmcore.resolve import data_spec

    config = load_config(args.config)
    if args.what in config["datasets"]:
        spec = data_spec(config, args.what)
    elif args.what in config["schedules"]:
        spec = report_spec(Grid(config, args.what))
    else:
        spec = find_model(config, args.what).to_dict()
    print(json.dumps(spec))


def _train(args: argparse.Namespace) -> None:
    check_writable(args.model, args.record)
    from dmcore.device import choose_device
    from dmcore.jobs.train import train_job
    from dmcore.spec import ModelSpec

    spec = ModelSpec.from_dict(args.spec)
    device = choose_device(args.device, args.threads)
    record = train_job(spec, args.data, args.model, args.record, device, args.save_every, args.cuda_graphs)
    print(f"{spec.path}: test accuracy {record['test_accuracy']:.2%} after {record['seconds']:.0f} s")


def _certify(args: argparse.Namespace) -> None:
    check_writable(args.out / "0.json")
    from dmcore.device import choose_device
    from dmcore.jobs.certify import certify_job

    certify_job(
        model=args.model,
        data=args.data,
        certifier=args.certifier,
        norm=args.norm,
        points=args.points,
        points_seed=args.points_seed,
        eps_ids=args.eps,
        clip_input=args.clip_input,
        intersect_ibp=args.intersect_ibp,
        out=args.out,
        device=choose_device(args.device, args.threads),
    )


def _radius(args: argparse.Namespace) -> None:
    check_writable(args.out)
    from dmcore.device import choose_device
    from dmcore.jobs.radius import radius_job

    names = ("model", "data", "certifier", "norm", "points", "points_seed", "upper", "tolerance", "clip_input", "out")
    given = {name: getattr(args, name) for name in names}
    record = radius_job(**given, device=choose_device(args.device, args.threads))
    mean, median, left_out = record["mean_radius"], record["median_radius"], record["left_out"]
    told = "no radius" if mean is None else f"radius {mean:.4g} on average, median {median:.4g}"
    print(f"{record['model']}: {told}; {left_out} of {args.points} points misclassified")


def _attack(args: argparse.Namespace) -> None:
    check_writable(args.out / "0.json")
    from dmcore.device import choose_device
    from dmcore.jobs.attack import attack_job

    names = ("model", "data", "attack", "norm", "points", "points_seed", "seed", "restarts", "steps", "out")
    given = {name: getattr(args, name) for name in names}
    attack_job(**given, eps_ids=args.eps, device=choose_device(args.device, args.threads))


def _bracket(args: argparse.Namespace) -> None:
    check_writable(args.out)
    from dmcore.bracket import bracket, read_sides
    from dmcore.files import write_text

    shown = bracket(*read_sides(args.files))
    print(shown, end="")
    if args.out is not None:
        write_text(args.out, shown)


def _regularizers(args: argparse.Namespace) -> None:
    check_writable(args.out)
    from dmcore.device import choose_device
    from dmcore.files import write_json
    from dmcore.jobs.regularizers import Settings, regularizers_job
    from dmcore.propositions.table import table

    settings = Settings(**{name: getattr(args, name) for name in Settings.__dataclass_fields__})
    device = choose_device(args.device, args.threads)
    record = regularizers_job(args.model, args.data, args.config, args.target, args.methods, args.eps, settings, device)
    print(table(record), end="")
    if args.out is not None:
        write_json(args.out, record)


def _onnx(args: argparse.Namespace) -> None:
    check_writable(args.out)
    from dmcore.jobs.exchange import onnx_job

    onnx_job(args.model, args.out)


def _vnnlib(args: argparse.Namespace) -> None:
    check_writable(args.out / "instances.csv")
    from dmcore.jobs.exchange import vnnlib_job

    settings = {name: getattr(args, name) for name in ("norm", "points", "points_seed", "clip_input", "timeout")}
    written = vnnlib_job(args.model, args.data, eps_ids=args.eps, out=args.out, **settings)
    print(f"{args.out}: {written} of {args.points} points at {len(args.eps)} ε; misclassified points are left out")


def _collect(args: argparse.Namespace) -> None:
    from dmcore.report.records import collect, merge, read_records, write_records

    if not (args.results / args.schedule).is_dir():
        raise UserError(f"{args.results} has no results of a schedule '{args.schedule}'")
    write_records(merge(read_records(args.out), collect(args.results, args.schedule)), args.out)


def _records(args: argparse.Namespace, exhibits: Mapping[str, Any]) -> Records:
    """The records that some resolved exhibits need, from where the command line says."""
    from dmcore.exhibits import models_of
    from dmcore.report.records import collect, read_records

    for name, exhibit in exhibits.items():
        if not isinstance(exhibit, dict) or "kind" not in exhibit:
            raise UserError(f"--spec: '{name}' is no table or figure; `dmcore spec SCHEDULE` prints a schedule's")
    if args.records:
        return read_records(args.records)
    (schedule,) = {exhibit["schedule"] for exhibit in exhibits.values()}
    return collect(args.results, schedule, models_of(exhibits) or None)  # costs are about all models


def _tables(args: argparse.Namespace) -> None:
    from dmcore.report.make import make_tables

    make_tables(args.spec, _records(args, args.spec), args.out)


def _figures(args: argparse.Namespace) -> None:
    from dmcore.report.make import make_figures

    make_figures(args.spec, _records(args, args.spec), args.out)


def _comparisons(args: argparse.Namespace) -> None:
    from dmcore.report.make import make_comparisons

    make_comparisons(args.spec, _records(args, args.spec), args.out)


def _of_report(spec: dict[str, Any]) -> dict[str, Any]:
    """A schedule's report, if it is one."""
    for key in ("schedule", "tables", "figures"):
        if key not in spec:
            raise UserError(f"--spec: no report of a schedule, it has no '{key}'; `dmcore spec SCHEDULE` prints one")
    return spec


def _overview(args: argparse.Namespace) -> None:
    from dmcore.report.make import make_overview

    spec = _of_report(args.spec)
    make_overview(spec, _records(args, spec["tables"] | spec["figures"]), args.out)


def _verdict(args: argparse.Namespace) -> None:
    from dmcore.report.make import make_verdict

    spec = _of_report(args.spec)
    make_verdict(spec, _records(args, spec["tables"]), args.out)


def _document(args: argparse.Namespace) -> None:
    from dmcore.report.make import make_document

    make_document(args.schedule, args.tables, args.out)


def _report(args: argparse.Namespace) -> None:
    from dmcore.config import check_config, load_config
    from dmcore.report.make import report_on

    if args.config.lstrip().startswith("{"):
        try:
            config = json.loads(args.config)
        except ValueError as error:
            raise UserError(f"--config: not JSON ({error})") from error
        check_config(config)
    else:
        config = load_config(Path(args.config))
    for schedule in report_on(config, args.results, args.schedules):
        print(f"{args.results / schedule}: report made")


def _history(args: argparse.Namespace) -> None:
    check_writable(args.out)
    from dmcore.report.histories import write_history

    write_history(args.record, args.out)


def _info(args: argparse.Namespace) -> None:
    if args.page:
        from importlib import import_module

        print(import_module(f"dmcore.describe.{args.page}").page(), end="")
        return
    import torch

    from dmcore.checkpoint import load_model
    from dmcore.device import choose_device
    from dmcore.provenance import provenance
    from dmcore.registries import architecture, attack, certifier, forward_domain, reader, regularizer

    if args.model is not None:
        net, spec, weights = load_model(args.model)
        print(f"{spec.path}\nweights sha256 {weights}\nspec {json.dumps(spec.to_dict())}\n{net}")
        return
    for key, value in provenance(choose_device("auto", torch.get_num_threads())).items():
        print(f"{key}: {value}")
    for registry in (architecture, attack, certifier, forward_domain, reader, regularizer):
        print(f"{registry.what.replace('_', ' ')}s: {', '.join(registry.names())}")
