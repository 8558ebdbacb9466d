"""Tidy records: every result file of a schedule as one line of a table.

They are what tables, figures and claims are made of, and what is kept in git: a clone without any model makes the same
exhibits from them.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.files import write_bytes
from doublemargin.files import read_json, remake
from doublemargin.records.cells import each_cell
from doublemargin.records.columns import (
    ADDED,
    ATTACK,
    CELL,
    COLUMNS,
    DISTURBED,
    FILES,
    KEYS,
    MODEL,
    NUMBERS,
    SELECTION,
    UNDISTURBED,
    UNKNOWN,
)
from doublemargin.records.statistics import std_of_hundreds, wilson_interval
from doublemargin.records.sums import Sums, gather, write_sums

MIN_CPU_SHARE = 0.95
"""Of its time, a process must have been given a processor for so much for its seconds to be comparable."""


@dataclass(frozen=True)
class Records:
    """A schedule's results.

    Attributes:
        training: one line a model.
        certified_accuracy: one line a cell, with the 95% Wilson interval of its share.
        verdicts: one line a cell: a string with a 1 for each point classified right and certified, a 0 for each other.
        robust_accuracy: one line an attack at an ε: verdicts with a 1 for each point classified right and not broken,
            and their share, which bounds robust accuracy from above.
        points: which test points these are: their indices in the test set, in the verdicts' order.
    """

    training: pd.DataFrame
    certified_accuracy: pd.DataFrame
    verdicts: pd.DataFrame
    robust_accuracy: pd.DataFrame
    points: pd.DataFrame


def collect(results: Path, schedule: str, models: Collection[str] | None = None) -> Records:
    """Reads the records of a schedule's trainings, certifications and attacks, sorted.

    Cells of weights that the model no longer has are left out.

    Args:
        models: the hashes of the specifications to read the records of; by default all that are there.

    Raises:
        UserError: a record that cannot be read, or is of another model than its folder says, or of another version;
            cells that name the same selection of points but hold others.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in COLUMNS}
    selections: dict[tuple[Any, ...], str] = {}
    for path in sorted((results / schedule).glob("*/*/*/*/seed*/training.json")):
        model = path.parent.relative_to(results).as_posix()
        record = _read(path, model)
        if models is not None and record["spec_hash"] not in models:
            continue
        measured = {key: record[key] for key in ("seconds", "test_accuracy", "parameters")}
        measured |= {"steps": record["spec"]["training"]["steps"], "timing": _timing(record)}
        rows["training"].append(_model(model) | measured | _origin(record))
        for file in sorted([*path.parent.glob("certify/*/*/n*.json"), *path.parent.glob("attack/*/*/n*.json")]):
            cells = _read(file, model)
            if cells["model_sha256"] != record["model_sha256"]:
                print(f"{file}: left out, it is of other weights than the model's", file=sys.stderr)
                continue
            for cell in (_Record(cell, file) for cell in each_cell(cells)):
                origin = _origin(cell)
                if "attack" in cell:
                    key = _model(model) | _named(ATTACK, cell)
                    stood = [not broken for broken in cell["broken"]]
                    line = key | {"not_broken": sum(stood)} | _accuracy(cell, stood) | origin
                    rows["robust_accuracy"].append(line | _verdicts(stood))
                else:
                    key = _model(model) | _named(CELL, cell)
                    certified = cell["certified"]
                    line = key | {"certified": sum(certified)} | _accuracy(cell, certified) | origin
                    rows["certified_accuracy"].append(line)
                    rows["verdicts"].append(line | _verdicts(certified))
                indices = " ".join(map(str, cell["indices"]))
                selection = {name: line[name] for name in SELECTION}
                if selections.setdefault(tuple(selection.values()), indices) != indices:
                    raise UserError(f"{file} is of other points than the cells before it; {remake(file)}")
                rows["points"].append(selection | {"indices": indices})
    if older := list((results / schedule).glob("*/*/*/*/seed*/certify/*/*/n*/*.json")):
        print(f"{older[0].parent}/ and the like: an older version's files, one per ε, are not read", file=sys.stderr)
    return Records(**{name: _frame(name, found) for name, found in rows.items()})


def merge(old: Records, new: Records) -> Records:
    """New records beside older ones, which they replace where they are of the same model or cell.

    Older cells stay unless their model has new weights.
    """
    weights = new.training.set_index(MODEL)["model_sha256"].to_dict()
    merged = {}
    for field in fields(Records):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if "model_sha256" in before.columns:
            models = before[MODEL].itertuples(index=False, name=None)
            still = [weights.get(m, sha) == sha for m, sha in zip(models, before["model_sha256"], strict=True)]
            before = before[pd.Series(still, index=before.index, dtype=bool)]
        both = pd.concat([frame for frame in (before, after) if len(frame)] or [after])
        merged[field.name] = _sorted(both.drop_duplicates(KEYS[field.name], keep="last"))
    return Records(**merged)


def write_records(records: Records, folder: Path) -> None:
    """Writes the CSV files of :data:`FILES` and their sums; the same records give the same bytes.

    Then nothing is written. A kill leaves each file as it was or as it should be, with its sum in either case.

    Raises:
        UserError: the sums that are there cannot be read.
    """
    contents = {file: _csv(getattr(records, name), file) for name, file in FILES.items()}
    changed = {f: c for f, c in contents.items() if not (folder / f).is_file() or (folder / f).read_bytes() != c}
    if changed:
        write_sums(folder, contents, besides=Sums(folder).lines)
    for file, content in changed.items():
        write_bytes(folder / file, content)
    write_sums(folder, contents)


def read_records(folder: Path) -> Records:
    """Reads what :func:`write_records` wrote; empty tables where nothing has been run yet.

    Raises:
        UserError: any byte is another than was written; the files are of another version.
    """
    sums = Sums(folder)
    return Records(**{name: _read_csv(folder / file, COLUMNS[name], sums) for name, file in FILES.items()})


def _csv(frame: pd.DataFrame, file: str) -> bytes:
    text = frame.to_csv(index=False, lineterminator="\n").encode()
    return gzip.compress(text, mtime=0) if file.endswith(".gz") else text


def _read_csv(path: Path, columns: list[str], sums: Sums) -> pd.DataFrame:
    if not path.exists():
        if sums.expects(path):
            print(f"{path} is gone, though there is a sum of it; going on without it", file=sys.stderr)
        return _typed(pd.DataFrame(columns=columns, dtype=str))
    try:
        content = path.read_bytes()
        sums.check(path, content)
        text = gzip.decompress(content) if path.suffix == ".gz" else content
        frame = pd.read_csv(io.BytesIO(text), dtype=str, keep_default_na=False)
        frame = frame.assign(**{c: v for c, v in ADDED.items() if c in columns and c not in frame.columns})
        if set(frame.columns) == set(columns):
            return _typed(frame[columns])
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); {gather(path.parent, [path.name])}") from error
    raise UserError(f"{path} has other columns than this version writes; {gather(path.parent, [path.name])}")


def _read(path: Path, model: str) -> dict[str, Any]:
    record = read_json(path)
    if not isinstance(record, dict) or record.get("model") != model:
        raise UserError(f"{path} is not a record of {model}; {remake(path, ours=False)}")
    return _Record(record, path)


class _Record(dict[str, Any]):
    """What a file holds; whoever asks for what it lacks is told the file's name."""

    def __init__(self, content: dict[str, Any], path: Path) -> None:
        super().__init__(content)
        self.path = path

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise UserError(f"{self.path} has no '{key}', it is of another version; {remake(self.path)}")
        value = super().__getitem__(key)
        return _Record(value, self.path) if isinstance(value, dict) else value


def _model(path: str) -> dict[str, Any]:
    parts = dict(zip(MODEL, path.split("/"), strict=True))
    return parts | {"seed": int(parts["seed"].removeprefix("seed"))}


def _timing(record: dict[str, Any]) -> str:
    """Whether the training's process was given a processor for at least :data:`MIN_CPU_SHARE` of its time.

    Of others on the same GPU it says nothing.
    """
    if "cpu_seconds" not in record:
        return UNKNOWN
    return UNDISTURBED if record["cpu_seconds"] >= MIN_CPU_SHARE * record["seconds"] else DISTURBED


def _named(columns: list[str], record: dict[str, Any]) -> dict[str, Any]:
    added = {key: record.get(key, value) for key, value in ADDED.items()}
    return {key: added[key] if key in added else record["eps" if key == "eps_cert" else key] for key in columns}


def _accuracy(record: dict[str, Any], verdicts: list[bool]) -> dict[str, Any]:
    n, right = record["points"], sum(verdicts)
    low, high = wilson_interval(right, n)
    return {
        "accuracy": right / n,
        "wilson_low": round(low, 6),
        "wilson_high": round(high, 6),
        "std": round(std_of_hundreds(right / n, n), 6),
        "seconds": record["seconds"],
    }


def _verdicts(verdicts: list[bool]) -> dict[str, str]:
    return {"verdicts": "".join("01"[bool(verdict)] for verdict in verdicts)}


def _origin(record: dict[str, Any]) -> dict[str, Any]:
    """Where a result comes from; hashes by their first 16 digits."""
    made = record["provenance"]
    return {
        "variant": record["data"]["variant"],
        "data_sha256": record["data"]["sha256"][:16],
        "device": made["device"],
        "threads": made["threads"] or "",
        "commit": made["commit"] or "unknown",
        "torch": made["torch"],
        "spec_hash": record["spec_hash"],
        "model_sha256": record["model_sha256"][:16],
    }


def _frame(name: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = _typed(pd.DataFrame(rows, columns=COLUMNS[name]).astype(str))
    return _sorted(frame.drop_duplicates(KEYS[name]))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as numbers, all else as text: an id such as 0.3 or a hash such as 1e15 is none."""
    return frame.astype({column: kind for column, kind in NUMBERS.items() if column in frame.columns})


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    by = [c for c in (*SELECTION[:1], *MODEL, "attack", *CELL) if c in frame.columns and c != "eps_cert"]
    by = list(dict.fromkeys(by))
    if "eps_cert" in frame.columns:
        frame = frame.assign(radius=[float(Eps.parse(e)) for e in frame["eps_cert"]])
        return frame.sort_values([*by, "radius"]).drop(columns="radius").reset_index(drop=True)
    return frame.sort_values(by).reset_index(drop=True)
