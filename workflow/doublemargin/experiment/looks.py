"""Each method's colour, marker and line style, the same in all figures of all schedules. Needs no matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dmcore.errors import UserError

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


def looks_of(config: Mapping[str, Any]) -> dict[str, int]:
    """The place of each method that a figure shows among :data:`METHODS`, or of a baseline among :data:`BASELINES`.

    All figures of the config count, in the order of its methods, the paper's own before the others: so a method looks
    the same in all of them, whatever else they show.

    Raises:
        UserError: figures show more methods than there are looks for.
    """
    shown = {
        method: f"reports.{report}.figures.{name}"
        for report, exhibits in config["reports"].items()
        for name, figure in exhibits["figures"].items()
        for panel in figure.get("panels", ())
        for rows in panel["rows"]
        for method in rows["methods"]
    }
    entries = {name: entry for name, entry in config["methods"].items() if name in shown}
    places = {}
    for kind, baseline, looks in (("methods", False, METHODS), ("baselines", True, BASELINES)):
        names = [name for name, entry in entries.items() if entry["baseline"] == baseline]
        names.sort(key=lambda name: not entries[name]["own"])
        if len(names) > len(looks):
            first = names[len(looks)]
            raise UserError(
                f"config: {shown[first]}: figures show {len(names)} {kind}, but only {len(looks)} can be told apart: "
                f"take '{first}' or another out of all figures"
            )
        places |= {name: place for place, name in enumerate(names)}
    return places
