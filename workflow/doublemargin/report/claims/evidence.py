"""What a claim is judged by: findings, each one comparison of two numbers of ours beside the paper's two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dmcore.eps import Eps
from doublemargin.report.tables import Cell


class Outcome(StrEnum):
    """What one comparison says to the claim."""

    HOLDS = "holds"
    FAILS = "fails"
    OPEN = "open"
    EMPTY = "no information"
    MISSING = "not run"


@dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes:
        where: which data, network, ε.
        first, second: what is compared, in words.
        ours, paper: the two numbers: shares in [0, 1], or seconds; None where not run or illegible.
        unit: ``%`` or ``s``.
        digits: decimals to show.
        interval: 95%, of the difference of ours (of the ratio of times there is none).
        wins, losses: on how many points, or pairs of trainings, only the first, or only the second, does better.
        p: of the test; None where the outcome needs none.
        direction: what a small p would mean: 1 as claimed, −1 the other way.
        decided: the outcome where it does not wait for p.
        as_claimed: whether the paper's own two numbers are as claimed; None if it cannot be said.
        missing: what was not run.
        remark: anything more.
    """

    where: str
    first: str
    second: str
    ours: tuple[float | None, float | None]
    paper: tuple[float | None, float | None]
    unit: str = "%"
    digits: int = 1
    interval: tuple[float, float] | None = None
    wins: int | None = None
    losses: int | None = None
    p: float | None = None
    direction: int = 0
    decided: Outcome | None = None
    as_claimed: bool | None = None
    missing: str = ""
    remark: str = ""


def place(cell: Cell) -> str:
    """Where a cell stands, in words: ``mnist small, ε_train 0.3, ε 0.1``."""
    norm = "" if cell.norm == "linf" else f", ℓ{cell.norm[1:]}"
    trained = "" if cell.eps_train == "none" else f", ε_train {Eps.parse(cell.eps_train).label}"
    return f"{cell.dataset} {cell.arch}{norm}{trained}, ε {Eps.parse(cell.eps_cert).label}"


def not_run(cells: Sequence[Cell]) -> str:
    """Which models, with which certification, are missing among some cells; empty if none is."""
    missing = []
    for cell in cells:
        if not cell.verdicts:
            eps = "" if cell.eps_train == "none" else f" at ε_train {Eps.parse(cell.eps_train).label}"
            model = f"{cell.method}{eps} on {cell.dataset} {cell.arch}"
            missing.append(f"{model} ({cell.certifier}, {cell.norm}, {cell.points} points)")
    return "; ".join(dict.fromkeys(missing))
