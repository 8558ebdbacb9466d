"""Figure 2: how Double Margin's two margins pass through a ReLU, equations (7) and (8) for one neuron and W = 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from doublemargin.experiment.looks import COLORS
from doublemargin.experiment.registries import figure
from doublemargin.records.tidy import Records
from doublemargin.report.figures.style import WIDTH, house_style, save

S_COLOR, RANGE_COLOR, CURVE_COLOR, V_COLOR = COLORS[0], COLORS[2], COLORS[1], "#444444"
LEFT, RIGHT, OUTPUT = -3.1, 3.1, 3.6
"""Where σ is drawn, and where its output's margins stand."""

GUIDE = {"color": "#777777", "linewidth": 1, "linestyle": (0, (2, 2)), "zorder": 1}
FORMULAS = (
    r"$s' = \frac{1}{2}\,(\sigma(z+s) - \sigma(z-s))$,"
    r"    $v_1' = \frac{1}{2}\,(\sigma(z+v) - \sigma(z-v))$,"
    "\n"
    r"$v_2' = \frac{1}{2}\,|\sigma(z+s+v) + \sigma(z-s-v) - 2\,\sigma(z)|$,    $v' = v_1' + v_2'$"
)


@dataclass(frozen=True)
class ReluMargins:
    """A neuron behind its ReLU.

    Attributes:
        value: σ(z).
        s: equation (7), ½(σ(z+s) − σ(z−s)).
        v_range: the first part of v′, equation (8), ½(σ(z+v) − σ(z−v)).
        v_curve: its second part, ½|σ(z+s+v) + σ(z−s−v) − 2σ(z)|.
    """

    value: float
    s: float
    v_range: float
    v_curve: float


@dataclass(frozen=True)
class Neuron:
    """A clean pre-activation and its margins."""

    title: str
    z: float
    s: float
    v: float


NEURONS = (Neuron("(a) mostly active, $z > 0$", 0.8, 1.3, 0.5), Neuron("(b) mostly inactive, $z < 0$", -0.3, 1.7, 0.9))


def relu(z: float) -> float:
    """σ."""
    return max(z, 0.0)


def relu_margins(z: float, s: float, v: float) -> ReluMargins:
    """What becomes of a neuron's margins in its ReLU.

    Args:
        z: the clean pre-activation.
        s, v: its margins, ≥ 0.
    """
    curve = relu(z + s + v) + relu(z - s - v) - 2 * relu(z)
    return ReluMargins(relu(z), (relu(z + s) - relu(z - s)) / 2, (relu(z + v) - relu(z - v)) / 2, abs(curve) / 2)


@figure("margins")
def write(exhibit: Mapping[str, Any], records: Records, stem: Path) -> None:
    """Draws the figure, which needs no records; writes ``stem.png``, ``stem.svg`` and ``stem.pdf``."""
    with house_style():
        save(draw(), stem)


def draw() -> Figure:
    """A ReLU for each of :data:`NEURONS`: margins of the input below it, those of the output beside it."""
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    figure.get_layout_engine().set(wspace=0.04)
    axes = figure.subplots(1, len(NEURONS), sharey=True)
    for axis, neuron in zip(axes, NEURONS, strict=True):
        out = relu_margins(neuron.z, neuron.s, neuron.v)
        axis.set_title(neuron.title, loc="left")
        axis.set_axis_off()
        axis.set(xlim=(LEFT - 0.1, OUTPUT + 0.9), ylim=(-2.3, 3.2))
        _draw_relu(axis, neuron)
        _draw_rises(axis, neuron, out)
        _draw_input(axis, neuron)
        _draw_output(axis, neuron, out)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, columnspacing=1.2, handlelength=2
    )
    figure.supxlabel(FORMULAS, fontsize=8)
    return figure


def _draw_relu(axis: Axes, n: Neuron) -> None:
    """σ, its axes, and its values at z ± s, z ± v and z ± (s + v)."""
    _arrow(axis, (LEFT, 0), (RIGHT, 0), "black", "->", 1)
    _arrow(axis, (0, -0.2), (0, 3.1), "black", "->", 1)
    axis.plot([LEFT, 0, 3], [0, 0, 3], color="black", linewidth=2, label="$\\sigma$")
    for offset, label, color, marker in (
        (0, "$\\sigma(z)$", "black", "D"),
        (n.s, "$\\sigma(z \\pm s)$", S_COLOR, "s"),
        (n.v, "$\\sigma(z \\pm v)$", RANGE_COLOR, "^"),
        (n.s + n.v, "$\\sigma(z \\pm (s+v))$", CURVE_COLOR, "o"),
    ):
        x = [n.z - offset, n.z + offset]
        look = {"color": color, "marker": marker, "markersize": 4.5, "linestyle": "none", "zorder": 3}
        axis.plot(x, [relu(x) for x in x], label=label, **look)


def _draw_rises(axis: Axes, n: Neuron, out: ReluMargins) -> None:
    """2s′ and 2v′₁ as rises of σ, v′₂ as the height above σ(z) of the chord over z ± (s + v)."""
    for margin, half, label, color in (
        (n.s, out.s, "$2s'$", S_COLOR),
        (n.v, out.v_range, "$2v_1'$", RANGE_COLOR),
    ):
        low, x = relu(n.z - margin), n.z + margin
        axis.plot([n.z - margin, x], [low, low], **GUIDE)
        _arrow(axis, (x, low), (x, low + 2 * half), color, "<->")
        _label(axis, (x, low + half / 2), label, color, (3, 0), ha="left", va="center")
    ends = [n.z - n.s - n.v, n.z + n.s + n.v]
    axis.plot(ends, [relu(x) for x in ends], color=CURVE_COLOR, linestyle="--", label="chord")
    _arrow(axis, (n.z, out.value), (n.z, out.value + out.v_curve), CURVE_COLOR, "<->")
    _label(axis, (n.z, out.value + out.v_curve), "$v_2'$", CURVE_COLOR, (-2, 2), ha="right", va="bottom")


def _draw_input(axis: Axes, n: Neuron) -> None:
    """z ± s, and z ± (s + v) below."""
    for side, sign in ((-1, "-"), (1, "+")):
        inner, outer = n.z + side * n.s, n.z + side * (n.s + n.v)
        for start, end, y, label, name, color in (
            (n.z, inner, -0.5, "$s$", f"$z{sign}s$", S_COLOR),
            (inner, outer, -1.25, "$v$", f"$z{sign}s{sign}v$", V_COLOR),
        ):
            axis.plot([end, end], [0, y - 0.1], **GUIDE)
            _arrow(axis, (start, y), (end, y), color, "<->")
            _label(axis, ((start + end) / 2, y), label, color, (0, 1), ha="center", va="bottom")
            _label(axis, (end, y - 0.1), name, "black", (0, -1), ha="center", va="top")
    axis.plot([n.z, n.z], [relu(n.z), -0.6], **GUIDE)
    _label(axis, (n.z, -0.6), "$z$", "black", (0, -1), ha="center", va="top")


def _draw_output(axis: Axes, n: Neuron, out: ReluMargins) -> None:
    """σ(z) ± s′, and ± the two parts of v′ beyond."""
    axis.plot([n.z, OUTPUT], [out.value, out.value], **GUIDE)
    axis.plot([OUTPUT], [out.value], color="black", marker="D", markersize=4.5)
    _label(axis, (OUTPUT, out.value), "$\\sigma(z)$", "black", (6, 0), ha="left", va="center")
    for side in (-1, 1):
        start = out.value
        for part, label, color in (
            (out.s, "$s'$", S_COLOR),
            (out.v_range, "$v_1'$", RANGE_COLOR),
            (out.v_curve, "$v_2'$", CURVE_COLOR),
        ):
            end = start + side * part
            _arrow(axis, (OUTPUT, start), (OUTPUT, end), color, "<->")
            _label(axis, (OUTPUT, (start + end) / 2), label, color, (4, 0), ha="left", va="center")
            axis.plot([OUTPUT - 0.12, OUTPUT + 0.12], [end, end], color="#777777", linewidth=1, label="_margin")
            start = end


def _arrow(
    axis: Axes, start: tuple[float, float], end: tuple[float, float], color: str, kind: str, width: float = 1.5
) -> None:
    look = {"arrowstyle": kind, "color": color, "linewidth": width, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    axis.annotate("", end, start, arrowprops=look)


def _label(
    axis: Axes, place: tuple[float, float], text: str, color: str, offset: tuple[float, float], **aligned: str
) -> None:
    axis.annotate(text, place, offset, textcoords="offset points", color=color, **aligned)
