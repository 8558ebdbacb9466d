"""Where the paper's tables contradict each other or its words, computed from the reported cells alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.files import shipped
from doublemargin.experiment.exhibits import heading
from doublemargin.report.columns import REMARKS
from doublemargin.report.paper import read_reported
from doublemargin.report.statistics import Share, newcombe_interval

MODEL = ["dataset", "arch", "method", "eps_train"]
CERTIFICATION = ["certifier", "norm", "points"]
COLLAPSED = 0.2
"""A low clean accuracy; where certified accuracy is the same at every ε, the net has learnt a constant."""
JUMP = 0.5
"""A sudden loss from one ε to the next."""


@dataclass(frozen=True)
class Contradiction:
    """One kind of inconsistency.

    Attributes:
        title: what it is.
        text: one or two sentences with what was found.
        head, rows: the places, as a table; may be empty.
    """

    title: str
    text: str
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)


def contradictions(reported: Path) -> list[Contradiction]:
    """All that can be computed from the reported cells, then the remarks written beside them."""
    cells = read_reported(reported)
    legible = cells[cells["accuracy"].notna()]
    return [
        _other_values(legible),
        _other_clean_accuracies(legible),
        _other_radii(legible),
        _several_trainings(cells),
        _same_time(cells),
        _exceptions_to_faster(cells),
        _gains(legible),
        _collapsed(legible),
        _full_test_set(legible),
        _medium(legible),
        _better_relaxation(legible),
        *_remarks(reported.with_name(REMARKS)),
    ]


def _other_values(cells: pd.DataFrame) -> Contradiction:
    """Items such as IBP on MNIST in Tables 8 and 14: one cell, two values."""
    values: dict[tuple[Any, ...], dict[str, float]] = {}
    for cell in cells[cells["models"] == 1].itertuples():
        key = tuple(getattr(cell, column) for column in [*MODEL, *CERTIFICATION, "eps_cert"])
        values.setdefault(key, {})[cell.table] = cell.accuracy
    several = {key: found for key, found in values.items() if len(found) > 1}
    compared = len(several)
    rows = [
        [_model(key), *key[4:6], _eps(key[-1]), "; ".join(f"{heading(t)}: {100 * v:.1f}" for t, v in found.items())]
        for key, found in several.items()
        if len(set(found.values())) > 1
    ]
    return Contradiction(
        "One cell, several values",
        f"Of {compared} cells with a value in more than one table, {len(rows)} differ. Behind one name stand several "
        "training runs.",
        ["model", "certifier", "norm", "ε", "values in %"],
        rows,
    )


def _other_clean_accuracies(cells: pd.DataFrame) -> Contradiction:
    """Clean accuracy does not depend on the certifier: where it differs, rows are swapped or models are others."""
    clean = cells[(cells["eps_cert"] == "0") & cells["table"].isin([f"table{n}" for n in (13, 14, 15, 16)])]
    rows = []
    for key, group in clean.groupby([*MODEL, "points"], sort=False):
        if group["accuracy"].nunique() > 1:
            shown = "; ".join(f"{heading(c.table)}: {100 * c.accuracy:.1f}" for c in group.itertuples())
            rows.append([_model(key), shown])
    return Contradiction(
        "Clean accuracy that depends on the certifier",
        f"Tables 13 to 16 certify the same models in four ways, so their clean accuracies must agree. "
        f"{_count(len(rows), 'model does', 'models do')} not.",
        ["model", "clean accuracy in %"],
        rows,
    )


def _other_radii(cells: pd.DataFrame) -> Contradiction:
    """Tables 4 and 7 under ℓ1: the same row of accuracies under other ε."""
    rows = []
    for key, group in cells.groupby([*MODEL, *CERTIFICATION], sort=False):
        lines: dict[tuple[float, ...], dict[tuple[str, ...], str]] = {}
        for table, line in group.groupby("table", sort=False):
            if line["accuracy"].nunique() > 2:  # rows of zeros agree by themselves
                lines.setdefault(tuple(line["accuracy"]), {})[tuple(line["eps_cert"])] = table
        for accuracies, radii in lines.items():
            if len(radii) > 1:
                shown = "; ".join(f"{heading(t)}: {', '.join(map(_eps, eps))}" for eps, t in radii.items())
                rows.append([_model(key), key[5], ", ".join(f"{100 * a:.1f}" for a in accuracies), shown])
    return Contradiction(
        "The same accuracies under other ε",
        f"{_count(len(rows), 'row is', 'rows are')} printed twice with the same accuracies and other ε.",
        ["model", "norm", "accuracies in %", "ε"],
        rows,
    )


def _several_trainings(cells: pd.DataFrame) -> Contradiction:
    """One model, several training times."""
    rows = []
    timed = cells[cells["seconds"].notna() & (cells["models"] == 1)]
    for key, group in timed.groupby(MODEL, sort=False):
        if group["seconds"].nunique() > 1:
            by_time = group.groupby("seconds", sort=False)["table"].agg(lambda t: ", ".join(map(heading, t.unique())))
            shown = "; ".join(f"{seconds:.1f} s ({tables})" for seconds, tables in by_time.items())
            rows.append([_model(key), shown, f"{group['seconds'].max() / group['seconds'].min():.1f}"])
    return Contradiction(
        "One model, several training times",
        f"{_count(len(rows), 'model is', 'models are')} printed with more than one training time.",
        ["model", "times", "largest over smallest"],
        rows,
    )


def _same_time(cells: pd.DataFrame) -> Contradiction:
    """Two models with the same time to a tenth of a second."""
    timed = cells[cells["seconds"].notna()].drop_duplicates([*MODEL, "seconds"])
    rows = []
    for (dataset, seconds), group in timed.groupby(["dataset", "seconds"], sort=False):
        models = list(dict.fromkeys(_model(key) for key in group[MODEL].itertuples(index=False)))
        if len(models) > 1:
            rows.append([dataset, f"{seconds:.1f}", "; ".join(models)])
    return Contradiction(
        "Several models, one training time",
        f"{_count(len(rows), 'time is', 'times are')} printed for more than one model of a data set; the text "
        "recognition may have doubled some.",
        ["data", "seconds", "models"],
        rows,
    )


def _exceptions_to_faster(cells: pd.DataFrame) -> Contradiction:
    """'Faster than any other certification based training method on all architectures and datasets'."""
    timed = cells[cells["seconds"].notna()].drop_duplicates(["table", "panel", *MODEL])
    pairs = {
        (*key[2:], mine, other): mine / other
        for key, group in timed.groupby(["table", "panel", "dataset", "arch", "eps_train"], sort=False)
        for mine in group[group["method"] == "dm"]["seconds"]
        for other in group[group["method"] == "ibp"]["seconds"]
    }
    slower = {key: ratio for key, ratio in pairs.items() if ratio >= 1}
    rows = [[f"{d} {a}", _eps(e), f"{mine:.1f}", f"{other:.1f}"] for (d, a, e, mine, other) in slower]
    middle = f"{median(pairs.values()):.2f}" if pairs else "–"
    return Contradiction(
        "Faster on all architectures and data sets",
        f"Of {len(pairs)} pairs of Double Margin and IBP, Double Margin is slower in {len(slower)}; the median ratio "
        f"of their times is {middle}.",
        ["network", "ε_train", "Double Margin (s)", "IBP (s)"],
        rows,
    )


def _gains(cells: pd.DataFrame) -> Contradiction:
    """How the largest gains come about: by block and ε_train of Tables 6, 8 and 9, at the prose's ε."""
    own, plain = ("dm", "dm_l1"), ("normal", "l1")
    chosen = cells[cells["table"].isin(["table6", "table8", "table9"]) & (cells["points"] == 200)]
    rows = []
    for dataset, eps in (("mnist", "0.2"), ("cifar10", "2_255"), ("gtsrb", "8_255")):
        at = chosen[(chosen["dataset"] == dataset) & (chosen["eps_cert"] == eps) & ~chosen["method"].isin(plain)]
        for arch, block in at.groupby("arch", sort=False):
            whole = [(f"any, {arch}", block)] if block["eps_train"].nunique() > 1 else []
            by_train = [(f"{_eps(train)}, {arch}", group) for train, group in block.groupby("eps_train", sort=False)]
            for name, group in [*by_train, *whole]:
                mine, others = group[group["method"].isin(own)], group[~group["method"].isin(own)]
                if len(mine) and len(others):
                    a, b = (side.loc[side["accuracy"].idxmax()] for side in (mine, others))
                    best = [f"{c.method} {100 * c.accuracy:.1f}" for c in (a, b)]
                    clean = chosen[(chosen[MODEL] == [b[k] for k in MODEL]).all(axis=1) & (chosen["eps_cert"] == "0")]
                    shown = f"{100 * clean['accuracy'].iloc[0]:.1f}" if len(clean) else "illegible"
                    gain = f"{100 * (a.accuracy - b.accuracy):.1f}"
                    rows.append([dataset, _eps(eps), name, *best, gain, shown])
    return Contradiction(
        "What the largest gains are gains over",
        "The gains of the prose are of single blocks at one ε_train, the largest over a model of low clean accuracy. "
        "With the best ε_train of every method ('any'), or on another network, the gains are others.",
        ["data", "ε", "ε_train, network", "best of ours in %", "best other in %", "gain", "the other's clean in %"],
        rows,
    )


def _collapsed(cells: pd.DataFrame) -> Contradiction:
    """Rows that stay at one low accuracy, and Double Margin rows that are lost in the step to their ε_train."""
    rows = []
    for (table, *key), line in cells.groupby(["table", *MODEL, *CERTIFICATION], sort=False):
        a = line["accuracy"].to_list()
        falls = [(x - y, eps) for x, y, eps in zip(a, a[1:], line["eps_cert"].iloc[1:], strict=False)]
        at_train = [fall for fall, eps in falls if eps == key[3] and fall > JUMP]
        if len(a) > 2 and a[0] < COLLAPSED and a[0] - a[-1] < 0.01:
            rows.append([_model(key), heading(table), f"{100 * a[0]:.1f}% at every ε from 0 on"])
        elif at_train and key[2].startswith("dm"):
            rows.append([_model(key), heading(table), f"loses {100 * at_train[0]:.1f} points where it reaches ε_train"])
    return Contradiction(
        "Collapsed models",
        f"{_count(len(rows), 'row', 'rows')}: a low accuracy that is the same at every ε, or a Double Margin model "
        "that is lost in the step to the ε it was trained at.",
        ["model", "where", "what"],
        rows,
    )


def _full_test_set(cells: pd.DataFrame) -> Contradiction:
    """Table 10 against the 200 points of Tables 8 and 9."""
    pairs = _pairs(cells[cells["table"] == "table10"], cells[cells["table"].isin(["table8", "table9"])], "points")
    telling = [(a, b) for a, b in pairs if a.accuracy or b.accuracy]
    higher = sum(b.accuracy > a.accuracy for a, b in telling)
    rows = [[_model_of(a), _eps(a.eps_cert), f"{100 * a.accuracy:.2f}", f"{100 * b.accuracy:.1f}"] for a, b in telling]
    return Contradiction(
        "200 points against the full test set",
        f"In {higher} of the {len(telling)} cells that are not 0 the 200 points give the higher accuracy.",
        ["model", "ε", "full test set in %", "200 points in %"],
        rows,
    )


def _medium(cells: pd.DataFrame) -> Contradiction:
    """Medium networks on 20 and on 200 points."""
    clean = cells[(cells["eps_cert"] == "0") & (cells["arch"] == "medium")]
    pairs = _pairs(clean[clean["points"] == 20], clean[clean["points"] == 200], "points", "certifier")
    rows, outside = [], 0
    for few, many in pairs:
        low, high = newcombe_interval(*(Share(round(c.accuracy * c.points), c.points) for c in (few, many)))
        outside += not low <= 0 <= high
        rows.append([_model_of(few), f"{100 * few.accuracy:.0f}", f"{100 * many.accuracy:.1f}"])
    return Contradiction(
        "Medium networks on 20 and on 200 points",
        f"Clean accuracies differ as is to be expected of 20 points: outside both samplings in {outside} of "
        f"{len(rows)} models.",
        ["model", "20 points in %", "200 points in %"],
        rows,
    )


def _better_relaxation(cells: pd.DataFrame) -> Contradiction:
    """CNN-Cert-Ada below CNN-Cert-ReLU, and CNN-Cert-Zero below IBP."""
    by_table = {n: cells[cells["table"] == f"table{n}"] for n in (13, 14, 15, 16)}
    below = [(a, b) for a, b in _pairs(by_table[13], by_table[14], "certifier") if a.accuracy < b.accuracy]
    zero = [pair for pair in _pairs(by_table[15], by_table[16], "certifier") if pair[0].accuracy < pair[1].accuracy]
    rows = [[_model_of(a), _eps(a.eps_cert), f"{100 * a.accuracy:.1f}", f"{100 * b.accuracy:.1f}"] for a, b in below]
    return Contradiction(
        "Certifiers out of order",
        f"CNN-Cert-Zero is below IBP, which is impossible, in {len(zero)} cells. CNN-Cert-Ada is below CNN-Cert-ReLU "
        f"in {len(below)}, which is possible.",
        ["model", "ε", "CNN-Cert-Ada in %", "CNN-Cert-ReLU in %"],
        rows,
    )


def _remarks(path: Path) -> list[Contradiction]:
    """The sections of a small Markdown file, each a heading and a paragraph."""
    try:
        text = shipped(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path}, which belongs beside the reported cells: {error}") from error
    sections = re.findall(r"^## (.+)\n\n((?:.+\n)+)", text, re.MULTILINE)
    return [Contradiction(title, " ".join(paragraph.split())) for title, paragraph in sections]


def _pairs(first: pd.DataFrame, second: pd.DataFrame, *free: str) -> Iterator[tuple[Any, Any]]:
    """Cells of two frames that agree in model, certification and ε, but for the columns in ``free``."""
    key = [column for column in [*MODEL, *CERTIFICATION, "eps_cert"] if column not in free]
    seconds = {tuple(getattr(c, k) for k in key): c for c in second.itertuples(index=False)}
    for cell in first.itertuples(index=False):
        other = seconds.get(tuple(getattr(cell, k) for k in key))
        if other is not None:
            yield cell, other


def _model_of(cell: Any) -> str:
    return _model([getattr(cell, column) for column in MODEL])


def _model(key: Iterable[str]) -> str:
    dataset, arch, method, eps = tuple(key)[:4]
    return f"{dataset} {arch} {method}" + ("" if eps == "none" else f" {_eps(eps)}")


def _eps(eps: str) -> str:
    return Eps.parse(eps).label


def _count(n: int, one: str, more: str) -> str:
    return f"{n} {one if n == 1 else more}"
