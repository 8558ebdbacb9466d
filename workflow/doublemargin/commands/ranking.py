"""A record of ``dmcore regularizers`` as a table for the terminal. Needs no torch."""

from __future__ import annotations

from typing import Any

from tabulate import tabulate

HEAD = [
    "regulariser",
    "distance",
    "relative",
    "helps",
    "cosine",
    "best c",
    "relative at c",
    "dR₂/dλ",
    "steps",
    "residual",
]


def table(record: dict[str, Any]) -> str:
    """What was computed, then for each damping the regularisers by their distance to the target."""
    settings = record["settings"]
    matrix = {"gauss_newton": "Gauss-Newton matrix", "hessian": "Hessian"}[settings["curvature"]]
    eps = "" if record["eps"] == "none" else f", ε = {record['eps'].replace('_', '/')}"
    parts = [
        f"{record['model']}: {settings['points']} training points{eps}\n"
        f"R₂: {record['target']}   L: cross-entropy, {record['base_loss']:.4g}   H: {matrix} of L"
    ]
    parts += [_ranking(ranking, record["target"], settings["tolerance"]) for ranking in record["rankings"]]
    return "\n\n".join(parts) + "\n"


def _ranking(ranking: dict[str, Any], target: str, tolerance: float) -> str:
    head = f"‖a‖² = aᵀ(H + {ranking['damping']:g}·I)⁻¹a   ‖∇R₂‖ = {ranking['target_norm']:.4g}"
    head += f"   ‖∇L‖ = {ranking['base_norm']:.4g} (0 at a minimum)"
    body = [_row(row, target) for row in ranking["rows"]]
    align = ["left", *["right"] * (len(HEAD) - 1)]
    lines = [head, tabulate(body, HEAD, tablefmt="simple", colalign=align, disable_numparse=True)]
    short = [row["name"] for row in ranking["rows"] if row["residual"] > 2 * tolerance]
    if short:
        lines.append(f"Not solved to the tolerance {tolerance:g}: {', '.join(short)}. More steps, damping or float64.")
    return "\n".join(lines)


def _row(row: dict[str, Any], target: str) -> list[str]:
    return [
        row["name"] + (" (R₂)" if row["name"] == target else ""),
        f"{row['distance']:.4g}",
        f"{row['relative_distance']:.5g}",
        "yes" if row["helps"] else "no",
        "" if row["cosine"] is None else f"{row['cosine']:.3f}",
        f"{row['best_scale']:.3g}",
        f"{row['distance_at_best_scale']:.3f}",
        f"{row['target_change']:.3g}",
        str(row["steps"]),
        f"{row['residual']:.0e}",
    ]
