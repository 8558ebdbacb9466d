"""Each method's colour, marker and line style, the same in all figures of all schedules. Needs no matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dmcore.errors import UserError
from doublemargin.experiment.sweeps import base

# Okabe and Ito's colours, told apart with any colour vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

Look = Mapping[str, Any]

_MORE = ("#882255", "#8A8A00", "#D8B365", "#5C0A14", "#A1D76A", "#40004B", "#08306B", "#543005", "#F2A5C0", "#00441B")
_DASHES = ("-", "--", "-.", (0, (6, 1, 1, 1, 1, 1)))
_DOTS = (":", (0, (1, 2)))
# Without colour marker and dashes tell them apart: those that share a marker differ in dashes and lightness.
METHODS: tuple[Look, ...] = tuple(
    {"color": color, "marker": "os^DvP<>"[i % 8], "linestyle": _DASHES[(i + i // 8) % 4]}
    for i, color in enumerate(COLORS + _MORE)
)
BASELINES: tuple[Look, ...] = tuple(
    {"color": color, "marker": marker, "linestyle": _DOTS[i % 2]}
    for i, (color, marker) in enumerate(zip(("#000000", "#777777") * 3, "dX*hp8", strict=True))
)


def look_name(kind: str, method: str) -> str:
    """By what a method has its look in a figure of that kind: a trade-off draws all variants of a grid as one line."""
    return base(method) if kind == "tradeoff" else method


def looks_of(config: Mapping[str, Any]) -> dict[str, int]:
    """The place of each :func:`look_name` that a figure shows among :data:`METHODS`, or :data:`BASELINES`.

    A method has one place in the whole config, and no other in a figure of the same report has it. They are given out
    in the order of the config's methods, the paper's own before the others.

    Raises:
        UserError: figures show more methods than there are looks for.
    """
    shown: dict[str, dict[str, str]] = {}  # by report, the last figure that shows it
    for report, exhibits in config["reports"].items():
        for name, figure in exhibits["figures"].items():
            for panel in figure.get("panels", ()):
                for method in (method for rows in panel["rows"] for method in rows["methods"]):
                    shown.setdefault(look_name(figure["kind"], method), {})[report] = f"reports.{report}.figures.{name}"
    entries: dict[str, Mapping[str, Any]] = {}
    for method, entry in config["methods"].items():
        entries |= {name: entry for name in (method, base(method)) if name in shown and name not in entries}
    places: dict[str, int] = {}
    for kind, baseline, looks in (("methods", False, METHODS), ("baselines", True, BASELINES)):
        names = [name for name, entry in entries.items() if entry["baseline"] == baseline]
        for i, name in enumerate(sorted(names, key=lambda name: not entries[name]["own"])):
            beside = [other for other in names if other in places and shown[other].keys() & shown[name].keys()]
            places[name] = place = min(set(range(i + 1)) - {places[other] for other in beside})
            if place >= len(looks):
                *_, where = shown[name].values()
                raise UserError(
                    f"config: {where}: figures show {place + 1} {kind}, but only {len(looks)} can be told apart: "
                    f"take '{name}' or another out of all figures"
                )
    return places
