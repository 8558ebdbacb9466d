"""Exact perturbation radii: ``8/255`` stays a fraction, so that file names and table headers never show a float."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from dmcore.errors import UserError

_NUMBER = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)(?:[/_](\d{1,20}))?", re.ASCII)


@dataclass(frozen=True, order=True)
class Eps:
    """A radius ε ≥ 0 in pixel scale, kept exactly.

    Attributes:
        value: the exact number.
        id: as in file names: ``0.3``, ``8_255``.
    """

    value: Fraction
    id: str

    @classmethod
    def parse(cls, text: str | int | float) -> Eps:
        """Reads ``0.3``, ``8/255`` or an id such as ``8_255``; trailing zeros do not matter (0.10 is 0.1).

        Raises:
            UserError: not a number ≥ 0 of that form.
        """
        written = f"{Decimal(str(text)):f}" if isinstance(text, float) else str(text)  # 0.00001, not 1e-05
        match = _NUMBER.fullmatch(written.strip())
        if not match or (match[2] and int(match[2]) == 0):
            raise UserError(f"eps '{text}' is not a radius ≥ 0 such as 0.3 or 8/255")
        number, divisor = Fraction(match[1]), int(match[2] or 1)
        whole, _, fraction = match[1].partition(".")
        shown = f"{int(whole)}.{fraction.rstrip('0')}".rstrip(".")
        return cls(number / divisor, shown + (f"_{divisor}" if divisor > 1 else ""))

    def __float__(self) -> float:
        return float(self.value)

    @property
    def label(self) -> str:
        """As in a table: ``0.3``, ``8/255``."""
        return self.id.replace("_", "/")


def labels(ids: Sequence[str]) -> list[str]:
    """The labels of a row of column heads, decimal fractions with as many digits each: 0, 0.01, 0.10."""
    radii = [Eps.parse(eps) for eps in ids]
    decimal = [r.label for r in radii if "/" not in r.label]
    digits = max((len(label.partition(".")[2]) for label in decimal), default=0)
    return [f"{float(r):.{digits}f}" if r.label in decimal and r.value else r.label for r in radii]
