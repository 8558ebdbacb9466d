"""The property that a certificate is about, in VNN-LIB 1.0, and the lists of instances that verifiers are run on.

As in VNN-COMP a file asks for a counterexample: ``sat`` means that there is an input in the box at which some other
logit is at least that of the label, ``unsat`` that the point is robust.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from dmcore.errors import UserError
from dmcore.files import write_text
from dmcore.norms import check_norm

_EXACT = Context(prec=2000, traps=[Inexact])  # more digits than any sum of two floats has


def export_vnnlib(
    path: Path | str,
    x: Tensor,
    y: int,
    eps: float,
    norm: str = "linf",
    num_classes: int = 10,
    clip_input: bool = False,
) -> None:
    """Writes the negation of "z_y > z_j for all j ≠ y on the ε-ball around x".

    Bounds are the exact sums x ± ε of the two binary numbers, as decimals with all digits: the very box that
    :func:`dmcore.certify.certify_points` bounds, rounded neither in nor out. A tool may round them as it reads them.

    Args:
        path: file to write, atomically.
        x: one input (C, H, W), pixels in [0, 1]; ``X_0, X_1, …`` are its values in that order.
        y: its label, in 0..num_classes−1.
        eps: radius ε ≥ 0 in pixel scale.
        norm: ``linf``; the others are no boxes.
        num_classes: K, how many logits ``Y_0, Y_1, …`` there are.
        clip_input: cut the ball to [0, 1], as in :class:`dmcore.domains.Ball`.

    Raises:
        UserError: another norm than linf, an ε or a label out of range, or an x that is not finite.
    """
    check_box(norm)
    if not (math.isfinite(eps) and eps >= 0 and 0 <= y < num_classes and bool(x.isfinite().all())):
        raise UserError(
            f"no property with label {y} of {num_classes} and ε = {eps}: need 0 ≤ label < classes and ε ≥ 0"
        )
    box = [_interval(Fraction(value), Fraction(eps), clip_input) for value in x.flatten().tolist()]
    lines = [
        f"; label {y}, linf ball of radius {eps!r}{', cut to [0, 1]' if clip_input else ''}",
        "; sat: some input in the box is not classified as the label; unsat: none is",
        *(f"(declare-const X_{i} Real)" for i in range(len(box))),
        *(f"(declare-const Y_{j} Real)" for j in range(num_classes)),
    ]
    for i, (lower, upper) in enumerate(box):
        lines += [f"(assert (>= X_{i} {_decimal(lower)}))", f"(assert (<= X_{i} {_decimal(upper)}))"]
    others = [f"    (and (>= Y_{j} Y_{y}))" for j in range(num_classes) if j != y]
    write_text(path, "\n".join([*lines, "(assert (or", *others, "))", ""]))


def check_box(norm: str) -> None:
    """Refuses a norm whose ball is no box."""
    check_norm(norm)
    if norm != "linf":
        raise UserError(f"a ball of the norm {norm} is no box, so VNN-LIB cannot express it: only linf can be exported")


def write_instances(path: Path | str, instances: Iterable[tuple[str, str, int]]) -> None:
    """Writes VNN-COMP's ``instances.csv``: a line ``onnx,vnnlib,seconds`` each, paths relative to the file's folder."""
    write_text(path, "".join(f"{onnx},{vnnlib},{seconds}\n" for onnx, vnnlib, seconds in instances))


def _interval(x: Fraction, eps: Fraction, clip_input: bool) -> tuple[Fraction, Fraction]:
    """One input's range. A centre outside [0, 1] stays in it, as in ``Ball``."""
    if not clip_input:
        return x - eps, x + eps
    return min(max(x - eps, Fraction(0)), x), max(min(x + eps, Fraction(1)), x)


def _decimal(value: Fraction) -> str:
    """All digits of a fraction whose denominator is a power of two."""
    digits = f"{_EXACT.divide(Decimal(value.numerator), Decimal(value.denominator)):f}"
    return digits if "." in digits else f"{digits}.0"
