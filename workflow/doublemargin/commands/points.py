"""What is found out about a model's test points: certificates, radii, attacks, and both sides together."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dmcore.errors import UserError
from dmcore.recognise import tensors
from doublemargin.arguments import certifier_name, count, one_of, positive, seed
from doublemargin.commands.shared import (
    Command,
    compute_arguments,
    points_arguments,
    radii_arguments,
    saving_arguments,
)
from doublemargin.files import BRACKET, PICTURE, check_writable, record
from doublemargin.records.cells import unfinished_beside

OWN = "a network of your own as ONNX, or weights from `train`"
POINTS = "x and y in an NPZ archive of your own, or prepared data file"
SAVED = "record to write (JSON), with every point"


def add_to(command: Command) -> None:
    """Declares these commands."""
    certify = command("certify", _certify, "Certify test points at one or more ε.")
    radius = command("radius", _radius, "Bisect for the largest ε at which each test point is certified.")
    attack = command("attack", _attack, "Attack test points at one or more ε, to bound robust accuracy above.")
    both = command(
        "bracket",
        _bracket,
        "Set certified and attacked accuracy side by side, from files or by doing both; fails if they contradict.",
    )
    picture = command(
        "picture", _picture, "Draw test points with their certified radii and the smallest adversarial examples found."
    )
    for sub in (certify, radius, attack, both, picture):
        sub.add_argument("--model", type=Path, required=sub is not both, help=OWN)
        points_arguments(sub, POINTS, required=sub is not both, few=8 if sub is picture else None)
        what = "of a prepared data set: test or validation (default: %(default)s)"
        sub.add_argument("--split", type=one_of("test", "validation"), default="test", help=what)
        compute_arguments(sub)
    for sub in (certify, radius, attack, both):
        sub.add_argument("--plot", type=Path, help="curve over ε to draw (PNG)")
    for sub in (certify, radius, both, picture):
        names = "cnn-cert-relu, cnn-cert-ada, cnn-cert-zero, ibp, alpha or milp (default: %(default)s)"
        sub.add_argument("--certifier", type=certifier_name, default="cnn-cert-relu", help=names)
        sub.add_argument("--clip-input", action="store_true", help="cut the ball to [0, 1]")
    for sub in (certify, attack, both):
        radii_arguments(sub, required=sub is not both)
    for sub in (certify, both):
        sub.add_argument("--intersect-ibp", action="store_true", help="let no linear bound leave the interval bounds")
    for sub in (certify, radius, both):
        what = "seconds of a point at one ε with milp, else not certified"
        sub.add_argument("--time-limit", type=positive, help=what)
    for sub in (attack, both, picture):
        sub.add_argument("--attack", default="pgd", help="pgd, or auto with doublemargin[attacks] (default: pgd)")
        sub.add_argument("--seed", type=seed, default=0, help="of its random numbers (default: %(default)s)")
        sub.add_argument("--restarts", type=count, default=3, help="(default: %(default)s)")
        sub.add_argument("--steps", type=count, default=50, help="gradient steps of a try (default: %(default)s)")
    saving_arguments(certify)
    for sub in (certify, attack):
        sub.add_argument("--out", type=Path, help=f"{SAVED}, or to add ε to")
    radius.add_argument("--out", type=Path, help=SAVED)
    radius.add_argument("--upper", type=positive, help="largest ε to try (default: [0, 1]'s diameter)")
    radius.add_argument("--tolerance", type=positive, default=0.01, help="relative (default: %(default)s)")
    both.add_argument("files", type=Path, nargs="*", help="from `certify` and `attack` of one model, or their folders")
    both.add_argument("--out", type=Path, help="Markdown to write")
    picture.add_argument("--out", type=Path, required=True, help="PNG to write")


def _certify(args: argparse.Namespace) -> None:
    check_writable(args.out, record("intersect_ibp"))
    check_writable(args.out and unfinished_beside(args.out), tensors("dmcore.certification_state"))
    check_writable(args.plot, PICTURE)
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.certify import certify_job

    subject = _subject(args, job_device)
    _show(certify_job(subject, _certification(args, subject), args.eps, args.out, args.save_every), args.plot)


def _radius(args: argparse.Namespace) -> None:
    check_writable(args.out, record("tolerance"))
    check_writable(args.plot, PICTURE)
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.radius import radius_job

    _check_time_limit(args)
    names = ("certifier", "norm", "points_seed", "upper", "tolerance", "clip_input", "out", "time_limit")
    given = {name: getattr(args, name) for name in names}
    _show(radius_job(_subject(args, job_device), **given), args.plot)


def _attack(args: argparse.Namespace) -> None:
    check_writable(args.out, record("attack"))
    check_writable(args.plot, PICTURE)
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.attack import attack_job

    _show(attack_job(_subject(args, job_device), eps_ids=args.eps, out=args.out, **_attack_settings(args)), args.plot)


def _bracket(args: argparse.Namespace) -> None:
    check_writable(args.out, BRACKET)
    check_writable(args.plot, PICTURE)
    from dmcore.files import write_text
    from doublemargin.experiment.bracket import bracket, read_sides, together

    given = [args.model, args.data, args.eps]
    if any(given) if args.files else not all(given):
        raise UserError("give either --model, --data and --eps, or files of `dmcore certify` and `dmcore attack`")
    sides = read_sides(args.files) if args.files else _both_sides(args)
    shown = bracket(*sides)
    print(shown, end="")
    if args.out is not None:
        write_text(args.out, shown)
    if args.plot is not None:
        shares = together(*sides)
        curves = {
            "not broken": [(float(eps), upper) for eps, _, upper in shares],
            "certified": [(float(eps), lower) for eps, lower, _ in shares],
        }
        _draw(curves, sides[0][0]["model"], args.plot)


def _picture(args: argparse.Namespace) -> None:
    check_writable(args.out, PICTURE)
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.picture import picture_job
    from doublemargin.report.figures.points import write_points

    names = ("certifier", "norm", "clip_input", "attack", "seed", "restarts", "steps")
    subject = _subject(args, job_device)
    title = f"{subject.path}: {args.certifier} certifies and {args.attack} attacks, {args.norm}"
    pictured = picture_job(subject, **{name: getattr(args, name) for name in names})
    write_points(pictured, title, args.out)


def _both_sides(args: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The cells of a certification and of an attack, made now."""
    from dmcore.attacks.evaluate import check_attack
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.attack import attack_job
    from doublemargin.experiment.jobs.certify import certify_job
    from doublemargin.records.cells import each_cell

    check_attack(args.attack, args.norm)  # not after the certification
    subject = _subject(args, job_device)
    certified = certify_job(subject, _certification(args, subject), args.eps)
    attacked = attack_job(subject, eps_ids=args.eps, **_attack_settings(args))
    name = {"file": "this run"}
    return list(each_cell(certified | name)), list(each_cell(attacked | name))


def _subject(args: argparse.Namespace, job_device: Callable[..., Any]) -> Any:
    """The network and the points that the arguments name, on the device that they name."""
    from doublemargin.experiment.jobs.evaluation_task import load_subject

    where = (args.points, args.points_seed, job_device(args.device, args.threads, args.gpu_slots))
    if args.model.suffix == ".onnx" or args.data.suffix == ".npz":  # no stage of the pipeline needs what reads these
        from doublemargin.experiment.jobs.own import load_own

        if args.split != "test":
            raise UserError("--split is of prepared data: of your own, name the file that has those points")
        return load_own(args.model, args.data, *where)
    return load_subject(args.model, args.data, *where, args.split)


def _certification(args: argparse.Namespace, subject: Any) -> Any:
    from doublemargin.experiment.jobs.certify import Certification

    _check_time_limit(args)
    names = ("certifier", "norm", "clip_input", "intersect_ibp", "points_seed", "time_limit")
    return Certification(points=len(subject.y), **{name: getattr(args, name) for name in names})


def _check_time_limit(args: argparse.Namespace) -> None:
    if args.time_limit is not None and args.certifier != "milp":
        raise UserError(f"--time-limit is milp's, not {args.certifier}'s: leave it out, or --certifier milp")


def _attack_settings(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in ("attack", "norm", "points_seed", "seed", "restarts", "steps")}


def _show(made: dict[str, Any], plot: Path | None) -> None:
    """Prints a record's table, and draws its curve."""
    from doublemargin.experiment.summary import curve, summary

    print(summary(made), end="")
    if plot is not None:
        _draw(dict([curve(made)]), made["model"], plot)


def _draw(curves: Any, title: str, plot: Path) -> None:
    from doublemargin.report.figures.robustness import write_curves

    write_curves(curves, title, plot)
