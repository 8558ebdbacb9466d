"""What a claim is judged by: findings, each one comparison of two numbers of ours beside the paper's two."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, Protocol

from dmcore.eps import Eps
from doublemargin.report.tables import Cell, Row

KEYS = ("table", "dataset", "arch", "certifier", "norm", "points", "method", "eps_train", "eps_cert")


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


@dataclass(frozen=True)
class Evidence:
    """All rows of a report's accuracy tables, ours beside the paper's."""

    rows: Sequence[Row]

    @property
    def cells(self) -> list[Cell]:
        return [cell for row in self.rows for cell in row.cells]


class Statement(Protocol):
    """A part of a claim: it names the numbers and how to compare them."""

    def findings(self, evidence: Evidence) -> list[Finding]: ...


@dataclass(frozen=True)
class EpsRange:
    """Which ε_cert a claim speaks of; everything where nothing is given.

    Attributes:
        beyond, least: above an ε, or from it on.
        only: these.
        largest: the panel's largest.
        trained: the ε that both were trained at.
    """

    beyond: str | None = None
    least: str | None = None
    only: Collection[str] | None = None
    largest: bool = False
    trained: bool = False

    def admits(self, cell: Cell) -> bool:
        """Whether a cell is among them, the largest apart."""
        eps = Eps.parse(cell.eps_cert)
        return (
            (self.beyond is None or eps.value > Eps.parse(self.beyond).value)
            and (self.least is None or eps.value >= Eps.parse(self.least).value)
            and (self.only is None or eps.value in {Eps.parse(e).value for e in self.only})
            and (not self.trained or cell.eps_cert == cell.eps_train)
        )


@dataclass(frozen=True)
class Pairs:
    """Cells to compare two by two: alike in all but what ``first`` and ``second`` name.

    Attributes:
        first, second, where: values of :data:`KEYS` that the first, the second, or both have.
        eps: the ε_cert.
        free: keys in which the two may differ all the same.
    """

    first: Mapping[str, Any]
    second: Mapping[str, Any]
    where: Mapping[str, Any] = field(default_factory=dict)
    eps: EpsRange = EpsRange()
    free: tuple[str, ...] = ()

    def of(self, cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
        """The pairs, in the order of the first cells."""
        shared = [key for key in KEYS if key not in {*self.first, *self.second, *self.free}]
        seconds: dict[tuple[Any, ...], list[Cell]] = {}
        for cell in self._among(cells, self.second):
            seconds.setdefault(_values(cell, shared), []).append(cell)
        found = [
            (cell, other) for cell in self._among(cells, self.first) for other in seconds.get(_values(cell, shared), ())
        ]
        return _at_largest(found, shared) if self.eps.largest else found

    def _among(self, cells: Sequence[Cell], side: Mapping[str, Any]) -> list[Cell]:
        wanted = {**self.where, **side}
        return [c for c in cells if all(getattr(c, k) == v for k, v in wanted.items()) and self.eps.admits(c)]


def _values(cell: Cell, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(getattr(cell, key) for key in keys)


def _at_largest(pairs: list[tuple[Cell, Cell]], shared: Sequence[str]) -> list[tuple[Cell, Cell]]:
    place = [key for key in shared if key != "eps_cert"]
    largest: dict[tuple[Any, ...], Fraction] = {}
    for cell, _ in pairs:
        key = _values(cell, place)
        largest[key] = max(largest.get(key, Fraction(-1)), Eps.parse(cell.eps_cert).value)
    return [pair for pair in pairs if Eps.parse(pair[0].eps_cert).value == largest[_values(pair[0], place)]]


def place(cell: Cell) -> str:
    """Where a cell stands, in words: ``mnist small, ε_train 0.3, ε 0.1``."""
    parts = [f"{cell.dataset} {cell.arch}"]
    if cell.norm != "linf":
        parts.append(f"ℓ{cell.norm[1:]}")
    if cell.eps_train != "none":
        parts.append(f"ε_train {Eps.parse(cell.eps_train).label}")
    return ", ".join([*parts, f"ε {Eps.parse(cell.eps_cert).label}"])


def not_run(cells: Sequence[Cell]) -> str:
    """Which models, with which certification, are missing among some cells; empty if none is."""
    missing = []
    for cell in cells:
        if not cell.verdicts:
            eps = "" if cell.eps_train == "none" else f" at ε_train {Eps.parse(cell.eps_train).label}"
            model = f"{cell.method}{eps} on {cell.dataset} {cell.arch}"
            missing.append(f"{model} ({cell.certifier}, {cell.norm}, {cell.points} points)")
    return "; ".join(dict.fromkeys(missing))
