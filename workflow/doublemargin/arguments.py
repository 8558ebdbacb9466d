"""What a command's arguments may be: each reads one, or says in a line what is wrong with it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from dmcore.eps import Eps
from dmcore.errors import UserError, nearest
from dmcore.norms import check_norm
from dmcore.registries import certifier

MOST_THREADS = 1024
LARGEST_SEED = 2**32 - 1
"""The largest that NumPy's old generator takes, which ART draws from."""


class Parser(argparse.ArgumentParser):
    """A parser that ends with one line where its like prints the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}; see `{self.prog} --help`\n")

    def refuse(self, unknown: str) -> NoReturn:
        """Ends with the known option that is nearest to an unknown one."""
        options = [option for action in self._actions for option in action.option_strings]
        self.error(f"unknown argument '{unknown}': {nearest(unknown, options)}")


def json_object(text: str) -> dict[str, Any]:
    """A JSON object; ``-`` for one on standard input, as an argument holds 128 KiB at most."""
    try:
        value = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}); `dmcore spec` prints one") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value


def seconds(text: str) -> float:
    """A time ≥ 0."""
    return _number(text, lambda value: value >= 0, "a number of seconds ≥ 0")


def positive(text: str) -> float:
    """A number > 0."""
    return _number(text, lambda value: value > 0, "a number > 0")


def count(text: str) -> int:
    """A whole number > 0."""
    return int(_number(text, lambda value: value > 0, "a whole number > 0", int))


def threads(text: str) -> int:
    """A number of threads that a machine can have."""
    what = f"a number of threads from 1 to {MOST_THREADS}"
    return int(_number(text, lambda value: 1 <= value <= MOST_THREADS, what, int))


def seed(text: str) -> int:
    """A seed that all generators of random numbers take."""
    what = f"a seed, a whole number from 0 to {LARGEST_SEED}"
    return int(_number(text, lambda value: 0 <= value <= LARGEST_SEED, what, int))


def radius_text(text: str) -> str:
    """A radius ε such as ``0.3`` or ``8/255``, as it was written."""
    return _checked(text, Eps.parse)


def norm_name(text: str) -> str:
    """The name of a norm."""
    return _checked(text, check_norm)


def certifier_name(text: str) -> str:
    """The name of a certifier."""
    return _checked(text, certifier.check)


def one_of(*known: str) -> Callable[[str], str]:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"unknown value '{text}': {nearest(text, known)}")
        return text

    return read


def _number(text: str, allowed: Callable[[float], bool], what: str, kind: type[int] | type[float] = float) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = kind(-1)
    if not allowed(value) or not value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
    return value


def _checked(text: str, check: Callable[[str], object]) -> str:
    try:
        check(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text
