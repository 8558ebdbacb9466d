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


def _number(what: str, allowed: Callable[[float], bool], kind: type[float] = float) -> Callable[[str], float]:
    """Reads numbers of a kind that are allowed and finite."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(-1)
        if not allowed(value) or not value < float("inf"):
            raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
        return value

    return read


def _checked(check: Callable[[str], object]) -> Callable[[str], str]:
    """Reads what a check does not refuse, as it was written."""

    def read(text: str) -> str:
        try:
            check(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return text

    return read


def one_of(*known: str) -> Callable[[str], str]:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"unknown value '{text}': {nearest(text, known)}")
        return text

    return read


seconds = _number("a number of seconds ≥ 0", lambda value: value >= 0)
positive = _number("a number > 0", lambda value: value > 0)
count = _number("a whole number > 0", lambda value: value > 0, int)
threads = _number(f"a number of threads from 1 to {MOST_THREADS}", lambda value: 1 <= value <= MOST_THREADS, int)
seed = _number(f"a seed, a whole number from 0 to {LARGEST_SEED}", lambda value: 0 <= value <= LARGEST_SEED, int)
radius_text = _checked(Eps.parse)
norm_name = _checked(check_norm)
certifier_name = _checked(certifier.check)
