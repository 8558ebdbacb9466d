"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from doublemargin.arguments import count, json_object, norm_name, one_of, radius_text, seconds, seed, threads

Run = Callable[[argparse.Namespace], None]
Command = Callable[[str, Run, str], argparse.ArgumentParser]
"""Declares a command: its name, what runs it, and a sentence on what it does."""


def spec_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """``--spec``, what the config says, resolved."""
    parser.add_argument("--spec", type=json_object, required=True, help=f"{what}; - reads standard input")


def config_argument(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--configfile``, for :func:`doublemargin.experiment.config.given_config`."""
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="config file (default: %(default)s)")
    what = "files whose keys are put over those of the config, as Snakemake's --configfile does"
    parser.add_argument("--configfile", type=Path, nargs="+", default=[], metavar="FILE", help=what)


def points_arguments(
    parser: argparse.ArgumentParser,
    data: str = "prepared data file",
    required: bool = True,
    few: int | None = None,
) -> None:
    """Which test points, and the norm of their balls; by default ``few`` of them."""
    parser.add_argument("--data", type=Path, required=required, help=data)
    parser.add_argument("--norm", type=norm_name, default="linf", help="linf, l2, l1 or l0 (default: %(default)s)")
    what = f"how many test points (default: {few or '200, or all if there are fewer'})"
    parser.add_argument("--points", type=count, default=few, help=what)
    parser.add_argument("--points-seed", type=seed, default=0, help="seed of their selection (default: %(default)s)")


def radii_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """``--eps``, one or more."""
    what = "radii in pixel scale, e.g. 0 0.1 8/255; l0 counts inputs"
    parser.add_argument("--eps", type=radius_text, nargs="+", required=required, help=what)


def compute_arguments(parser: argparse.ArgumentParser) -> None:
    """What :func:`doublemargin.experiment.device.job_device` asks for."""
    parser.add_argument(
        "--device", default="auto", type=one_of("auto", "cpu", "cuda"), help="auto, cpu or cuda (default: %(default)s)"
    )
    parser.add_argument("--threads", type=threads, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--gpu-slots", type=count, default=1, help="jobs that share a GPU (default: %(default)s)")


def saving_arguments(parser: argparse.ArgumentParser) -> None:
    """How often work that is under way is saved."""
    what = "seconds between saved states, which is what a kill may cost (default: %(default)s)"
    parser.add_argument("--save-every", type=seconds, default=60.0, help=what)
