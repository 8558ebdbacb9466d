"""The course of a training, drawn from its record: loss terms, accuracies, λ and ε, unstable ReLUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from dmcore.errors import UserError
from dmcore.files import atomic
from doublemargin.experiment.looks import METHODS
from doublemargin.files import read_json
from doublemargin.report.figures.style import house_style

NOT_LOSSES = ("epoch", "step", "eps", "ramp", "lr", "accuracy", "robust_accuracy", "unstable_relus")


def write_history(record: Path, out: Path) -> None:
    """Draws a training record's history as a PNG."""
    content = read_json(record)
    if not isinstance(content, dict) or "history" not in content:
        raise UserError(f"{record} is no record of a training: name the training.json of a model")
    with house_style(), atomic(out) as path:
        draw(content).savefig(path, format="png", dpi=150, metadata={"Software": "dmcore"})


def draw(record: Mapping[str, Any]) -> Figure:
    """Four panels over the epochs: loss and terms, batch accuracies, unstable ReLUs, λ and ε."""
    history = record["history"]
    losses = sorted({key for entry in history for key in entry} - {*NOT_LOSSES, "loss"})
    figure = Figure(figsize=(7.6, 4.8), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    panels = [
        ("loss and its terms, unweighted", {"loss": "whole loss"} | {k: k.replace("_", " ") for k in losses}, 1),
        ("batch accuracy (%)", {"accuracy": "clean", "robust_accuracy": "worst case"}, 100),
        ("unstable ReLUs, by interval bounds at ε", {"unstable_relus": "unstable ReLUs a sample"}, 1),
        ("λ and ε", {"ramp": "share of the final λ", "eps": "ε"}, 1),
    ]
    for axis, (title, names, scale) in zip(axes.flat, panels, strict=True):
        _curves(axis, history, names, scale)
        axis.set_title(title)
        axis.grid(visible=True)
    axes[0, 1].set_ylim(0, 100)
    for axis in axes[1]:
        axis.set_xlabel("epoch")
    made = f"{record['data']['variant']} data · {record['provenance']['device']}"
    figure.suptitle(f"{record['model']} · {made}", fontsize=8)
    return figure


def _curves(axis: Any, history: Sequence[Mapping[str, float]], names: Mapping[str, str], scale: float = 1) -> None:
    """One curve for each quantity that the history has; a quantity can be missing in the warm-up."""
    for (key, label), look in zip(names.items(), cycle(METHODS), strict=False):
        points = [(entry["epoch"], scale * entry[key]) for entry in history if key in entry]
        if points:
            axis.plot(*zip(*points, strict=True), label=label, markersize=2.5, **look)
    if axis.lines:
        axis.legend()
    else:
        axis.text(0.5, 0.5, "this method has none", ha="center", va="center", transform=axis.transAxes)
