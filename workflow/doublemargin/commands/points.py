"""What is found out about a model's test points: certificates, radii, attacks, and both sides together."""

from __future__ import annotations

import argparse
from pathlib import Path

from dmcore.files import check_writable
from dmcore.recognise import BRACKET, record, tensors
from doublemargin.arguments import certifier_name, count, positive, seed
from doublemargin.commands.shared import (
    Command,
    compute_arguments,
    points_arguments,
    radii_arguments,
    saving_arguments,
)
from doublemargin.records.cells import unfinished_beside


def add_to(command: Command) -> None:
    """Declares these commands."""
    certify = command("certify", _certify, "Certify the shared test points at one or more ε.")
    radius = command(
        "radius", _radius, "Bisect for the largest ε at which each of the shared test points is certified."
    )
    attack = command(
        "attack", _attack, "Attack the shared test points at one or more ε, to bound robust accuracy above."
    )
    for sub in (certify, radius, attack):
        sub.add_argument("--model", type=Path, required=True, help="weights from `train`")
        points_arguments(sub)
        compute_arguments(sub)
    for sub in (certify, radius):
        names = "cnn-cert-relu, cnn-cert-ada, cnn-cert-zero, ibp, alpha or milp"
        sub.add_argument("--certifier", type=certifier_name, required=True, help=names)
        sub.add_argument("--clip-input", action="store_true", help="cut the ball to [0, 1]")
    for sub in (certify, attack):
        radii_arguments(sub)
        sub.add_argument("--out", type=Path, required=True, help="record to write (JSON), or to add ε to")
    saving_arguments(certify)
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


def _certify(args: argparse.Namespace) -> None:
    check_writable(args.out, record("intersect_ibp"))
    check_writable(unfinished_beside(args.out), tensors("dmcore.certification_state"))
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.certify import Certification, certify_job

    names = ("certifier", "norm", "clip_input", "intersect_ibp", "points", "points_seed")
    how = Certification(**{name: getattr(args, name) for name in names})
    certify_job(
        args.model,
        args.data,
        how,
        args.eps,
        args.out,
        job_device(args.device, args.threads, args.gpu_slots),
        args.save_every,
    )


def _radius(args: argparse.Namespace) -> None:
    check_writable(args.out, record("tolerance"))
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.radius import radius_job

    names = ("model", "data", "certifier", "norm", "points", "points_seed", "upper", "tolerance", "clip_input", "out")
    given = {name: getattr(args, name) for name in names}
    found = radius_job(**given, device=job_device(args.device, args.threads, args.gpu_slots))
    mean, median, left_out = found["mean_radius"], found["median_radius"], found["left_out"]
    told = "no radius" if mean is None else f"radius {mean:.4g} on average, median {median:.4g}"
    print(f"{found['model']}: {told}; {left_out} of {args.points} points misclassified")


def _attack(args: argparse.Namespace) -> None:
    check_writable(args.out, record("attack"))
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.jobs.attack import attack_job

    names = ("model", "data", "attack", "norm", "points", "points_seed", "seed", "restarts", "steps", "out")
    given = {name: getattr(args, name) for name in names}
    attack_job(**given, eps_ids=args.eps, device=job_device(args.device, args.threads, args.gpu_slots))


def _bracket(args: argparse.Namespace) -> None:
    check_writable(args.out, BRACKET)
    from dmcore.files import write_text
    from doublemargin.experiment.bracket import bracket, read_sides

    shown = bracket(*read_sides(args.files))
    print(shown, end="")
    if args.out is not None:
        write_text(args.out, shown)
