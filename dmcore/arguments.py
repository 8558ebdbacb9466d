"""What a command's arguments may be: each reads one, or says in a line what is wrong with it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def json_object(text: str) -> dict[str, Any]:
    """A JSON object; ``-`` for one on standard input, as an argument holds 128 KiB at most."""
    try:
        value = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}); `dmcore spec` prints one") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value


def seconds(text: str) -> float:
    """A time ≥ 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds ≥ 0")
    return value


def positive(text: str) -> float:
    """A number > 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number > 0")
    return value


def count(text: str) -> int:
    """A whole number > 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number > 0")
    return int(text)
