"""A mistake of a user's: how it is made, and the one line that it gets."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from doublemargin.experiment.config import load_config
from doublemargin.experiment.grid import find_model
from doublemargin.experiment.resolve import data_spec

HERE = Path(__file__).parent


def nothing(folder):
    """The mistake is in the command alone."""


@dataclass(frozen=True)
class Mistake:
    """One mistake, made in a folder as :mod:`workbench` sets it up.

    Attributes:
        id: for the test.
        run: what is typed: ``dmcore ...`` or ``snakemake ...``, or Python for the library.
        says: the line on standard error; ``<...>`` stands for what differs from machine to machine.
        make: makes the mistake in the folder.
        environment: variables to set, or to take away (None).
        without: a package that is not installed.
        code: the exit code.
    """

    id: str
    run: str
    says: str
    make: Callable[[Path], None] = nothing
    environment: Mapping[str, str | None] = field(default_factory=dict)
    without: str | None = None
    code: int = 2

    def matches(self, line: str) -> bool:
        """Whether a line is the one that is promised."""
        parts = re.split(r"<[^<>]+>", self.says)
        return re.fullmatch(".+?".join(map(re.escape, parts)), line) is not None


def arguments(run, folder):
    """What is typed, as a list; ``"$(dmcore spec x)"`` is the specification of x in the folder's config."""
    config = load_config(folder / "config.yaml") if "$(" in run else {}

    def spec(match):
        name = match[1]
        return shlex.quote(
            json.dumps(data_spec(config, name) if "/" not in name else find_model(config, name).to_dict())
        )

    return shlex.split(re.sub(r'"\$\(dmcore spec ([^)]+)\)"', spec, run))


def edit(*changes):
    """Replaces pieces of config.yaml, each of which must be there once."""

    def make(folder):
        path = folder / "config.yaml"
        text = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in config.yaml"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    return make


def write(name, content):
    """Puts a file in the folder, or another in its place."""

    def make(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def cut(name, keep):
    """Keeps so many of a file's bytes."""

    def make(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[:keep])

    return make


def all_of(*makes):
    """One after the other."""

    def make(folder):
        for part in makes:
            part(folder)

    return make
