"""Markdown from plain data."""

from __future__ import annotations

import re
from collections.abc import Iterable


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table of Markdown cells."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def percent(share: float) -> str:
    """A share in percent, ``66.5%``."""
    return f"{share:.1%}"


def code(value: object) -> str:
    """A word of a config or a command."""
    return f"`{value}`"


def prose(docstring: str) -> str:
    """A docstring's first paragraph as Markdown."""
    text = " ".join(docstring.split("\n\n")[0].split())
    text = re.sub(r":\w+:`[\w.]*?(\w+)`", r"`\1`", text.replace("``", "`"))
    parts = text.split("`")
    return "`".join(p if i % 2 else p.replace("*", r"\*") for i, p in enumerate(parts))
