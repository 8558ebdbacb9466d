"""How all figures look, and how they are written."""

from __future__ import annotations

import logging
import string
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.figure import Figure

from dmcore.files import atomic

mpl.use("Agg")
logging.getLogger("fontTools.ttLib").setLevel(logging.ERROR)  # else it remarks on the dates in matplotlib's own fonts

WIDTH = 6.3
"""Inches of a figure across the page, 16 cm: printed at this size, letters have the points that are given here."""

PAGE_LETTERS = 100
"""As many fit across it."""

MAX_NAMED = 8
"""As many of a panel that were not run are named in a note; more are counted."""

STYLE = {
    "font.size": 8,  # that of labels, ticks and legends, too
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "legend.handlelength": 4,  # shows the dashes
    "pdf.fonttype": 42,  # letters as letters, which journals ask for
    "svg.hashsalt": "doublemargin",  # the same figure gives the same file
}
FORMATS = {
    "png": {"dpi": 300},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}


def house_style() -> AbstractContextManager[None]:
    """Within it figures are drawn and saved: whatever a user's matplotlibrc says, they look the same."""
    return style.context(["default", STYLE])


def panel_letters(panels: Sequence[Any]) -> list[str]:
    """What stands before the panels' titles: ``(a) ``, ``(b) `` …, nothing before a single one."""
    return [f"({letter}) " for letter in string.ascii_lowercase[: len(panels)]] if len(panels) > 1 else [""]


def not_run(drawn: Mapping[str, Sequence[Any]]) -> list[str]:
    """Notes on what was not run, or not in full, of what each panel draws: its ``name`` and ``status``, by letter."""
    notes = []
    for what, status in (("Not run", "not run"), ("Not run in full", "partly")):
        found = [(letter, [one.name for one in of_panel if one.status == status]) for letter, of_panel in drawn.items()]
        told = [
            letter + (", ".join(names) if len(names) <= MAX_NAMED else f"{len(names)} of {len(drawn[letter])}")
            for letter, names in found
            if names
        ]
        notes += [f"{what}: {'; '.join(told)}."] if told else []
    return notes


def wrapped(notes: Sequence[str]) -> str:
    """Notes in lines as wide as the page, each on a new one."""
    return "\n".join(textwrap.fill(note, PAGE_LETTERS, break_on_hyphens=False) for note in notes)


def save(figure: Figure, stem: Path) -> None:
    """Writes ``stem.png``, ``stem.svg`` and ``stem.pdf``; the same figure gives the same bytes."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, the same in all formats
    for kind, options in FORMATS.items():
        with atomic(stem.with_suffix(f".{kind}")) as path:
            figure.savefig(path, format=kind, **options)
