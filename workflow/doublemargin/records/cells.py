"""Result files with one cell per ε. Cells that are there stay when others are added. Needs no torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dmcore.eps import Eps
from dmcore.errors import UserError
from doublemargin.files import read_json, write_json

Cell = dict[str, Any]


def each_cell(record: Mapping[str, Any]) -> Iterator[Cell]:
    """A result file's cells, each with its ``eps`` and what the file says of all of them."""
    shared = {key: value for key, value in record.items() if key != "cells"}
    for eps, cell in record["cells"].items():
        yield shared | {"eps": eps} | cell


def read_cells(path: Path | None, made_from: str) -> dict[str, Cell]:
    """The cells by ε of a file that was made from the same; none if it is missing, damaged or made from something else.

    Args:
        made_from: a hash of what the cells depend on: model, points, settings, code.
    """
    if path is None or not path.exists():
        return {}
    try:
        record = read_json(path)
    except UserError as error:
        print(f"starting anew: {error}", file=sys.stderr)
        return {}
    if record.get("made_from") != made_from:
        print(f"starting anew: {path} is of another model, other settings or other code", file=sys.stderr)
        return {}
    cells: dict[str, Cell] = record["cells"]
    return cells


def unfinished_beside(path: Path) -> Path:
    """Where the verdicts for a result file are kept until it is written."""
    return path.with_name(f"unfinished-{path.stem}.safetensors")


def write_cells(path: Path | None, shared: Mapping[str, Any], cells: Mapping[str, Cell]) -> dict[str, Any]:
    """The content of a result file, its cells in the order of ε; written, if there is a path."""
    record = {**shared, "cells": {eps: cells[eps] for eps in sorted(cells, key=Eps.parse)}}
    if path is not None:
        write_json(path, record)
    return record
