"""The course of a training, drawn from its record: loss terms, accuracies, λ and ε, unstable ReLUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmcore.files import atomic, read_json
from dmcore.report.figures import COLORS, STYLE, plt

NOT_LOSSES = ("epoch", "step", "eps", "level", "lr", "accuracy", "robust_accuracy", "unstable_relus")


def write_history(record: Path, out: Path) -> None:
    """Draws a training record's history as a PNG of four panels over the epochs."""
    content = read_json(record)
    history, method = content["history"], content["spec"]["method"]["name"]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(2, 2, figsize=(7.6, 4.8), sharex=True, layout="constrained")
        losses = sorted({key for entry in history for key in entry} - set(NOT_LOSSES))
        _curves(axes[0, 0], history, {"loss": "whole loss"} | {k: k.replace("_", " ") for k in losses if k != "loss"})
        axes[0, 0].set_title("loss and its terms, unweighted", fontsize=9)
        _curves(axes[0, 1], history, {"accuracy": "clean", "robust_accuracy": "worst case"}, 100)
        axes[0, 1].set_title("batch accuracy (%)", fontsize=9)
        axes[0, 1].set_ylim(0, 100)
        _curves(axes[1, 0], history, {"unstable_relus": "unstable ReLUs a sample"})
        axes[1, 0].set_title("unstable ReLUs, by interval bounds at ε", fontsize=9)
        _curves(axes[1, 1], history, {"level": "share of the final λ", "eps": "ε"})
        axes[1, 1].set_title("λ and ε", fontsize=9)
        for axis in axes[1]:
            axis.set_xlabel("epoch")
        data = content["data"]
        title = f"{method} · {content['model']} · {data['variant']} data · {content['provenance']['device']}"
        figure.suptitle(title, fontsize=8)
        with atomic(out) as path:
            figure.savefig(path, format="png", dpi=150)
        plt.close(figure)


def _curves(axis: Any, history: Sequence[Mapping[str, float]], names: Mapping[str, str], scale: float = 1) -> None:
    """One curve for each quantity that the history has; a quantity can be missing in the warm-up."""
    for (key, label), color in zip(names.items(), COLORS, strict=False):
        points = [(entry["epoch"], scale * entry[key]) for entry in history if key in entry]
        if points:
            axis.plot(*zip(*points, strict=True), label=label, color=color, marker="o", markersize=2.5)
    if axis.lines:
        axis.legend(fontsize=7, frameon=False)
    else:
        axis.text(0.5, 0.5, "this method has none", ha="center", va="center", transform=axis.transAxes, fontsize=8)
