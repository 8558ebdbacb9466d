"""What a record of points says in short: a table, and a curve over ε. Needs no torch."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from dmcore.eps import Eps
from doublemargin.markdown import percent, table


def summary(record: Mapping[str, Any]) -> str:
    """A Markdown table of a certification, an attack, or of radii."""
    labels = record["labels"]
    title = f"{record['model']}, {record['norm']}, {len(labels)} test points\n\n"
    if "radii" in record:
        clean = percent(1 - record["left_out"] / len(labels))
        radii = [
            "–" if record[f"{of}_radius"] is None else f"{record[f'{of}_radius']:.4g}" for of in ("mean", "median")
        ]
        head = ["certifier", "points", "clean", "mean radius", "median radius"]
        return title + table(head, [[record["certifier"], str(len(labels)), clean, *radii]])
    kind, value, what = _counted(record)
    rows = []
    for eps, cell in record["cells"].items():
        right = sum(p == y for p, y in zip(cell["predicted"], labels, strict=True)) / len(labels)
        rows.append([Eps.parse(eps).label, str(len(labels)), percent(right), percent(cell[value])])
    return title + table(["ε", "points", "clean", f"{what} ({record[kind]})"], rows)


def curve(record: Mapping[str, Any]) -> tuple[str, list[tuple[float, float]]]:
    """What is counted, and its share of the points at each ε of a record; of radii at each radius."""
    if "radii" in record:
        return f"certified ({record['certifier']})", _survival(record["radii"])
    kind, value, what = _counted(record)
    return f"{what} ({record[kind]})", [(float(Eps.parse(e)), cell[value]) for e, cell in record["cells"].items()]


def _counted(record: Mapping[str, Any]) -> tuple[str, str, str]:
    """What found it, the cells' key of the share, and its name in tables."""
    if "certifier" in record:
        return "certifier", "certified_accuracy", "certified"
    return "attack", "robust_accuracy_upper_bound", "not broken"


def _survival(radii: Sequence[float | None]) -> list[tuple[float, float]]:
    """The share of points with at least each of the radii."""
    known = sorted(r for r in radii if r is not None)
    return [(r, (len(known) - bisect_left(known, r)) / len(radii)) for r in sorted({0.0, *known})]
