"""Certified and attacked accuracy side by side: the robust accuracy lies between. Needs no torch.

And the check of soundness on a trained model: no point may be both certified at an ε and broken within it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from dmcore.eps import Eps
from dmcore.errors import UserError
from doublemargin.files import read_json
from doublemargin.markdown import percent, table
from doublemargin.records.cells import each_cell

SHARED = {"model_sha256": "model", "norm": "norm", "indices": "points", "labels": "points' labels"}
"""What all files of a bracket must agree on."""


def read_sides(paths: Iterable[Path]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The cells of certifications and of attacks in files, or in the JSON files of folders; each with its ``file``.

    Raises:
        UserError: a file that is neither, or of another model, norm or points than the others.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    sides: tuple[list[dict[str, Any]], list[dict[str, Any]]] = [], []
    first: dict[str, Any] = {}
    for file in files:
        record = read_json(file) | {"file": str(file)}
        if ("certifier" in record) == ("attack" in record) or not {"cells", *SHARED} <= record.keys():
            raise UserError(f"{file} is neither of `dmcore certify` nor of `dmcore attack`")
        first = first or record
        for key, what in SHARED.items():
            if record[key] != first[key]:
                raise UserError(f"{file} is of another {what} than {first['file']}: give files of one only")
        sides["attack" in record].extend(each_cell(record))
    for records, what in zip(sides, ("certifications", "attacks"), strict=True):
        if not records:
            raise UserError(f"no {what} among the {len(files)} files given: see `dmcore certify` and `dmcore attack`")
    return sides


def check_sides(certifications: Sequence[dict[str, Any]], attacks: Sequence[dict[str, Any]]) -> None:
    """Compares every certificate with every attack within its ball.

    Raises:
        UserError: names the first point that is certified and broken; or an attack that left [0, 1] and a certificate
            of the pixels' range alone, which may differ without either being wrong.
    """
    for proof in certifications:
        for attack in attacks:
            if _eps(attack) > _eps(proof):
                continue
            if proof["clip_input"] and not attack["clip_input"] and proof["norm"] != "l0":
                raise UserError(
                    f"{attack['file']} left [0, 1], of which alone {proof['file']} speaks: attack within it"
                )
            both = zip(proof["indices"], proof["certified"], attack["broken"], strict=True)
            wrong = [point for point, certified, broken in both if certified and broken]
            if wrong:
                raise UserError(
                    f"UNSOUND: test point {wrong[0]} (of {len(wrong)}) is certified at ε = {proof['eps']} by "
                    f"{proof['certifier']} ({proof['file']}) and broken at ε = {attack['eps']} by {attack['attack']} "
                    f"({attack['file']}); one of the two is wrong"
                )


def bracket(certifications: Sequence[dict[str, Any]], attacks: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: at each ε that both sides have, what each certifier and attack says, and what all say together.

    Together, a point is certified if any certifier says so at this or a larger ε, and broken if any attack does at this
    or a smaller one. What is between is undecided. Checked by :func:`check_sides` first.
    """
    check_sides(certifications, attacks)
    certifiers = list(dict.fromkeys(record["certifier"] for record in certifications))
    kinds = list(dict.fromkeys(record["attack"] for record in attacks))
    labels = {_eps(record): Eps.parse(record["eps"]).label for record in certifications}
    rows = []
    for eps, lower, upper in together(certifications, attacks):
        proved = [_at(eps, certifications, "certifier", name, "certified_accuracy") for name in certifiers]
        stood = [_at(eps, attacks, "attack", name, "robust_accuracy_upper_bound") for name in kinds]
        rows.append([labels[eps], *proved, percent(lower), percent(upper), *stood, percent(upper - lower)])
    head = ["ε", *certifiers, "**certified**", "**not broken**", *kinds, "undecided"]
    first = certifications[0]
    title = f"{first['model']}, {first['norm']}, {len(first['indices'])} test points\n\n"
    return title + table(head, rows)


def together(
    certifications: Sequence[dict[str, Any]], attacks: Sequence[dict[str, Any]]
) -> list[tuple[Fraction, float, float]]:
    """Each ε that both sides have, with the shares of points that are certified, and not broken, by all together."""
    shares = []
    for eps in sorted({_eps(record) for record in certifications} & {_eps(record) for record in attacks}):
        lower = _share([r["certified"] for r in certifications if _eps(r) >= eps])
        upper = 1 - _share([r["broken"] for r in attacks if _eps(r) <= eps])
        shares.append((eps, lower, upper))
    return shares


def _share(verdicts: Sequence[Sequence[bool]]) -> float:
    """The share of points for which any of the files says yes."""
    return sum(map(any, zip(*verdicts, strict=True))) / len(verdicts[0])


def _eps(record: dict[str, Any]) -> Fraction:
    return Eps.parse(record["eps"]).value


def _at(eps: Fraction, records: Sequence[dict[str, Any]], key: str, name: str, value: str) -> str:
    found = [record[value] for record in records if record[key] == name and _eps(record) == eps]
    return percent(found[0]) if found else "–"
