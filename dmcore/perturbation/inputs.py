"""What the public functions are given, checked before any work: points, their labels and ε."""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.norms import check_norm, check_radius
from dmcore.perturbation.ball import PIXELS, Ball, Range

Radius = float | int | str | Fraction | Eps | Tensor | np.ndarray
"""ε as a caller may give it: a finite real number ≥ 0, text such as ``8/255``, or one for each point, shape (B,)."""


def checked_ball(
    x: Tensor,
    eps: Radius,
    norm: str = "linf",
    clip_input: bool = False,
    input_range: Range = PIXELS,
    fractions: bool = False,
) -> Ball:
    """The ε-balls around x.

    Args:
        fractions: whether ε may be a fraction under ``l0``.

    Raises:
        UserError: x is no batch of finite float32 or float64 inputs within ``input_range``, ε or the norm is none.
    """
    check_norm(norm)
    low, high = _checked_range(input_range)
    if norm == "l0" and not math.isfinite(high - low):
        raise UserError(
            f"under the norm l0 a changed input takes any value of input_range, which must be finite, not {input_range}"
        )
    ball = Ball(_checked_points(x, low, high), _checked_eps(eps, x), norm, clip_input, (low, high))
    if not fractions:
        for value in ball.eps.unique().tolist() if isinstance(ball.eps, Tensor) else [ball.eps]:
            check_radius(norm, value)
    return ball


def _checked_range(input_range: Range) -> Range:
    """(low, high), what an input may be.

    Raises:
        UserError: not two numbers, the smaller one first.
    """
    try:
        low, high = (float(side) for side in input_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise UserError(f"input_range must be two numbers, the smaller one first, such as (0, 1), got {input_range!r}")
    return low, high


def checked_labels(y: Any, x: Tensor, output: tuple[int, ...]) -> Tensor:
    """Labels (B,) as int64 on x's device, from a tensor, an array or a list of integers.

    Args:
        output: the shape of a point's logits.

    Raises:
        UserError: the network has no axis of classes or a single class, or the labels are no B integers in 0..K−1.
    """
    if len(output) != 1:
        raise UserError(f"the network's output has shape {output}, not (classes,)")
    (num_classes,) = output
    if num_classes < 2:  # without another class every point would be certified
        raise UserError(
            "the network has one logit z, and a margin needs two classes; append a Linear(1, 2) with the weights"
            " [[0], [1]] and no bias, whose logits (0, z) say class 1 where z > 0"
        )
    try:
        labels = y if isinstance(y, Tensor) else torch.as_tensor(y, device="cpu")
        got = f"{tuple(labels.shape)} {labels.dtype}"
        whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
        fits = labels.shape == x.shape[:1] and (whole or not len(x))
        labels = labels.to(x.device, torch.int64)
    except (TypeError, ValueError, RuntimeError):
        labels, got, fits = x.new_empty(0), type(y).__name__, False
    if not fits or (len(x) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes):
        raise UserError(f"labels must be {len(x)} integers in 0..{num_classes - 1}, got {got}")
    return labels


def misfit(x: Tensor, error: RuntimeError) -> UserError:
    """What to say of inputs that a network does not take, from torch's own words."""
    reason = " ".join(str(error).split())[:200]
    return UserError(f"input {tuple(x.shape)} {x.dtype} does not fit the network: {reason}")


def _checked_points(x: Any, low: float, high: float) -> Tensor:
    if not isinstance(x, Tensor):
        raise UserError(f"x must be a torch.Tensor of shape (B, ...), a batch of inputs, got a {type(x).__name__}")
    if x.ndim < 2:
        raise UserError(f"x must be a batch of inputs, (B, ...), got shape {tuple(x.shape)}: x[None] is a batch of one")
    if x.device.type not in ("cpu", "cuda"):
        raise UserError(
            f"x is on {x.device}, whose rounding is not known: move x and the network to a cpu or cuda device"
        )
    if x.dtype in (torch.float32, torch.float64):  # if not, the ball says so
        outside = ~((x >= low) & (x <= high) & x.isfinite())
        if outside.any():
            at = outside.nonzero()[0].tolist()
            raise UserError(
                f"x[{', '.join(map(str, at))}] is {x[tuple(at)].item():g}, outside [{low:g}, {high:g}]: scale the "
                "inputs, or name the range they come from: input_range=(low, high)"
            )
    return x.clone() if x.is_inference() else x  # such tensors take no part in gradients, which alpha needs


def _checked_eps(eps: Any, x: Tensor) -> float | Tensor:
    """ε as a number, or as float64 (B,) on x's device."""
    value: Any = Eps.parse(eps) if isinstance(eps, str) else eps
    if isinstance(value, Eps):
        value = value.value
    try:
        if isinstance(value, np.ndarray):
            value = torch.as_tensor(value, device="cpu")
        if isinstance(value, Tensor) and not value.is_complex() and value.dtype != torch.bool:
            value = value.detach().to(x.device, torch.float64)
            if value.shape == x.shape[:1] and bool((value.isfinite() & (value >= 0)).all()):
                return value
            value = value.item() if value.ndim == 0 else None
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except (TypeError, OverflowError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise UserError(
            "eps must be a finite number ≥ 0 (pixel scale), such as 0.1 or '8/255', or one for each point, shape "
            f"({len(x)},); got {_described(eps)}"
        )
    return number


def _described(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python's own limit
        return "an integer of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
