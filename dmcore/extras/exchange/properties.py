"""The property that a certificate is about, in VNN-LIB 1.0, and the lists of instances that verifiers are run on.

As in VNN-COMP a file asks for a counterexample: ``sat`` means that there is an input in the box at which some other
logit is at least that of the label, ``unsat`` that the point is robust.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact
from pathlib import Path

from torch import Tensor

from dmcore.errors import UserError
from dmcore.files import write_text
from dmcore.norms import check_norm
from dmcore.perturbation.ball import PIXELS, Ball, Range
from dmcore.perturbation.inputs import Radius, checked_ball, checked_labels

_EXACT = Context(prec=2000, traps=[Inexact])  # more digits than any sum of two floats has


def export_vnnlib(
    path: Path | str,
    x: Tensor,
    y: int,
    eps: Radius,
    norm: str = "linf",
    num_classes: int = 10,
    clip_input: bool = False,
    input_range: Range = PIXELS,
) -> None:
    """Writes the negation of "z_y > z_j for all j ≠ y on the ε-ball around x".

    Bounds are the exact sums x ± ε of the two binary numbers, as decimals with all digits: the very box that
    :func:`dmcore.certify.certify_points` bounds, rounded neither in nor out. A tool may round them as it reads them.

    Args:
        path: file to write, atomically.
        x: one input (C, H, W), pixels in [0, 1]; ``X_0, X_1, …`` are its values in that order.
        y: its label, in 0..num_classes−1.
        eps: radius ε ≥ 0 in pixel scale, a number or text such as ``8/255``.
        norm: ``linf``; the others are no boxes.
        num_classes: K, how many logits ``Y_0, Y_1, …`` there are.
        clip_input: cut the ball to ``input_range``.
        input_range: (low, high), what an input may be: an x outside it is refused.

    Raises:
        UserError: another norm than linf; an ε, a label or an input out of range.
    """
    check_box(norm)
    ball = checked_ball(x[None], eps, norm, clip_input, input_range)
    y, radius = int(checked_labels([y], ball.x, (num_classes,))), ball.largest_eps
    box = [_interval(Decimal(value), Decimal(radius), ball) for value in x.flatten().tolist()]
    cut = ", cut to [{:g}, {:g}]".format(*ball.input_range) if clip_input else ""
    lines = [
        f"; label {y}, linf ball of radius {radius!r}{cut}",
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


def _interval(x: Decimal, eps: Decimal, ball: Ball) -> tuple[Decimal, Decimal]:
    """One input's range."""
    lower, upper = _EXACT.subtract(x, eps), _EXACT.add(x, eps)
    if not ball.clip_input:
        return lower, upper
    low, high = ball.input_range
    return max(lower, Decimal(low)), min(upper, Decimal(high))


def _decimal(value: Decimal) -> str:
    """All its digits, at least one of them after the point."""
    digits = f"{value.normalize(_EXACT):f}"
    return digits if "." in digits else f"{digits}.0"
