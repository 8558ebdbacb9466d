"""The command line. Each command is one step of the pipeline; the rules call them as a user would.

torch is imported only by the commands that compute, so that tables need none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dmcore.errors import UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a user's mistake ends it with one line and exit code 2."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except UserError as error:
        sys.exit(_fail(str(error)))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted", 130))


def _fail(message: str, code: int = 2) -> int:
    print(f"dmcore: error: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dmcore", description="Train, certify and tabulate verifiable networks.")
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

    spec = command("spec", _show_spec, "Print what the config says of a model or a data set, as JSON for --spec.")
    spec.add_argument("what", help="a model such as demo/mnist/small/dm/0.3/seed0, or a data set such as mnist")
    spec.add_argument("--config", type=Path, default=Path("config.yaml"), help="config file (default: %(default)s)")

    train = command("train", _train, "Train one model.")
    _spec(train, "the model's specification, as JSON")
    train.add_argument("--data", type=Path, required=True, help="prepared data file")
    train.add_argument("--model", type=Path, required=True, help="weights to write (safetensors)")
    train.add_argument("--record", type=Path, required=True, help="training record to write (JSON)")
    train.add_argument("--cuda-graphs", action="store_true", help="on a GPU, replay each step as a CUDA graph")
    train.add_argument(
        "--save-every", type=_seconds, default=60.0, help="seconds between saved states (default: %(default)s)"
    )
    _compute(train)

    certify = command("certify", _certify, "Certify the shared test points at one or more ε.")
    certify.add_argument("--model", type=Path, required=True, help="weights from `train`")
    certify.add_argument("--data", type=Path, required=True, help="prepared data file")
    certify.add_argument("--certifier", required=True, help="cnn-cert-relu, cnn-cert-ada, cnn-cert-zero or ibp")
    certify.add_argument("--norm", default="linf", help="linf, l2, l1 or l0 (default: %(default)s)")
    certify.add_argument("--points", type=int, default=200, help="how many test points (default: %(default)s)")
    certify.add_argument("--points-seed", type=int, default=0, help="seed of their selection (default: %(default)s)")
    certify.add_argument(
        "--eps", nargs="+", required=True, help="radii in pixel scale, e.g. 0 0.1 8/255; l0 counts inputs"
    )
    certify.add_argument("--clip-input", action="store_true", help="cut the ball to [0, 1]")
    certify.add_argument("--out", type=Path, required=True, help="folder for one JSON file an ε")
    _compute(certify)

    compare = command("regularizers", _regularizers, "Rank regularisers at a trained model by Propositions 1 and 2.")
    compare.add_argument("--model", type=Path, required=True, help="weights from `train`")
    compare.add_argument("--data", type=Path, required=True, help="prepared data file")
    compare.add_argument(
        "--config", type=Path, default=Path("config.yaml"), help="of the methods (default: %(default)s)"
    )
    compare.add_argument("--target", required=True, help="the method whose regulariser the others are to be near to")
    compare.add_argument("--methods", nargs="+", required=True, help="methods of the config, e.g. ibp dm l1")
    compare.add_argument("--eps", help="ε of the regularisers, in pixel scale, e.g. 0.05 or 8/255")
    for name, kind, default, what in (
        ("points", _count, 500, "how many training points"),
        ("points-seed", int, 0, "seed of their selection"),
        ("seed", int, 0, "seed of attacks and projections"),
        ("tolerance", _positive, 1e-3, "relative residual of the solver"),
        ("max-steps", _count, 200, "most steps of the solver"),
        ("points-at-once", _count, 100, "bounds the memory"),
    ):
        compare.add_argument(f"--{name}", type=kind, default=default, help=f"{what} (default: %(default)s)")
    compare.add_argument(
        "--curvature", choices=["gauss_newton", "hessian"], default="gauss_newton", help="H, the curvature"
    )
    compare.add_argument("--damping", type=_positive, nargs="+", default=[0.01], help="γ in (H + γI)⁻¹, a table each")
    compare.add_argument("--float64", action="store_true", help="compute in float64")
    compare.add_argument("--out", type=Path, help="record to write (JSON)")
    _compute(compare)

    collect = command("collect", _collect, "Gather a schedule's result files into tidy CSV records.")
    collect.add_argument("--results", type=Path, required=True, help="the results folder")
    collect.add_argument("--schedule", required=True, help="the schedule to gather")
    collect.add_argument("--out", type=Path, required=True, help="folder for the records")

    for name, run in (("tables", _tables), ("figures", _figures)):
        sub = command(name, run, f"Make {name} from tidy records; cells not run yet show as such.")
        _spec(sub, f"resolved descriptions of the {name} by name, as JSON")
        sub.add_argument("--records", type=Path, required=True, help="folder with the records")
        sub.add_argument("--out", type=Path, required=True, help=f"folder for the {name}")

    history = command("history", _history, "Draw the course of a training from its record.")
    history.add_argument("--record", type=Path, required=True, help="training record from `train`")
    history.add_argument("--out", type=Path, required=True, help="PNG to write")

    info = command(
        "info", _info, "Print versions, devices and what is registered; or what a model file says of itself."
    )
    info.add_argument("model", type=Path, nargs="?", help="weights from `train`")
    info.add_argument("--architectures", action="store_true", help="print every architecture, layer by layer")
    return parser


def _spec(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--spec", type=_json_object, required=True, help=what)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}); `dmcore spec` prints one") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds ≥ 0")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number > 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number > 0")
    return int(text)


def _compute(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")


def _data(args: argparse.Namespace) -> None:
    from dmcore.data.sources import prepare

    info = prepare(args.name, args.spec, args.out, args.places, args.cache, args.resources)
    print(f"{args.out}: {info['train']} training and {info['test']} test images of {args.name} ({info['variant']})")


def _show_spec(args: argparse.Namespace) -> None:
    from dmcore.config import load_config
    from dmcore.grid import find_model
    from dmcore.resolve import data_spec

    config = load_config(args.config)
    known = args.what in config["datasets"]
    print(json.dumps(data_spec(config, args.what) if known else find_model(config, args.what).to_dict()))


def _train(args: argparse.Namespace) -> None:
    from dmcore.device import choose_device
    from dmcore.jobs.train import train_job
    from dmcore.spec import ModelSpec

    spec = ModelSpec.from_dict(args.spec)
    device = choose_device(args.device, args.threads)
    record = train_job(spec, args.data, args.model, args.record, device, args.save_every, args.cuda_graphs)
    print(f"{spec.path}: test accuracy {record['test_accuracy']:.2%} after {record['seconds']:.0f} s")


def _certify(args: argparse.Namespace) -> None:
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
        out=args.out,
        device=choose_device(args.device, args.threads),
    )


def _regularizers(args: argparse.Namespace) -> None:
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


def _collect(args: argparse.Namespace) -> None:
    from dmcore.report.records import write_records

    write_records(args.results, args.schedule, args.out)


def _tables(args: argparse.Namespace) -> None:
    from dmcore.report.records import read_records
    from dmcore.report.render import write_table
    from dmcore.report.tables import build_table

    training, certified = read_records(args.records)
    for name, exhibit in args.spec.items():
        write_table(build_table(exhibit, training, certified), args.out / name)


def _figures(args: argparse.Namespace) -> None:
    from dmcore.report.figures import write_figure
    from dmcore.report.records import read_records

    _, certified = read_records(args.records)
    for name, exhibit in args.spec.items():
        write_figure(exhibit, certified, args.out / name)


def _history(args: argparse.Namespace) -> None:
    from dmcore.report.histories import write_history

    write_history(args.record, args.out)


def _info(args: argparse.Namespace) -> None:
    import torch

    from dmcore.checkpoint import load_model
    from dmcore.describe import architectures_page
    from dmcore.device import choose_device
    from dmcore.provenance import provenance
    from dmcore.registries import architecture, attack, certifier, forward_domain, reader, regularizer

    if args.architectures:
        print(architectures_page(), end="")
        return
    if args.model is not None:
        net, spec, weights = load_model(args.model)
        print(f"{spec.path}\nweights sha256 {weights}\nspec {json.dumps(spec.to_dict())}\n{net}")
        return
    for key, value in provenance(choose_device("auto", torch.get_num_threads())).items():
        print(f"{key}: {value}")
    for registry in (architecture, attack, certifier, forward_domain, reader, regularizer):
        print(f"{registry.what.replace('_', ' ')}s: {', '.join(registry.names())}")
