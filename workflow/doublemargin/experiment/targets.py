"""The files that Snakemake can be asked for, and what each is made from. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmcore.errors import UserError
from dmcore.files import digest, sha256
from doublemargin.experiment.grid import Grid
from doublemargin.files import shipped
from doublemargin.records.columns import FILES, REMARKS, SUMS


def exhibit_input(grid: Grid, kind: str, name: str) -> list[str]:
    """What a table or figure is made from: the results of its own cells; costs are those of all trainings."""
    if grid.exhibit(kind, name)["kind"] == "cost":
        return training_files(grid)
    return result_files(grid.part(kind, name))


def exhibit_files(grid: Grid) -> list[str]:
    """A schedule's records, all tables and figures of its report, its pages, and its histories."""
    names = [*FILES.values(), SUMS, "overview.md"]
    names += [f"tables/{name}.md" for name in grid.report["tables"]]
    names += [f"figures/{name}.png" for name in grid.report["figures"]]
    histories = [f"results/{model}/history.png" for model in grid.model_paths()]
    return [f"results/{grid.schedule}/{name}" for name in names] + histories


def exhibit_contents(grid: Grid, kind: str, name: str) -> str:
    """A hash of what stands in the files that the config names for a table or figure."""
    exhibit = grid.exhibit(kind, name)
    files = exhibit.get("source"), exhibit.get("reference"), grid.report.get("reported")
    return contents([path for path in files if path])


def report_contents(grid: Grid) -> str:
    """A hash of what stands in the file with the paper's numbers, if a report names one, and in that beside it."""
    reported = grid.report.get("reported")
    return contents([reported, str(Path(reported).with_name(REMARKS))] if reported else [])


def training_files(grid: Grid) -> list[str]:
    """The result files of all trainings of a grid."""
    return [f"results/{model}/training.json" for model in grid.model_paths()]


def result_files(grid: Grid) -> list[str]:
    """The result files of all trainings, certifications and attacks of a grid."""
    return training_files(grid) + [f"results/{job.path}.json" for job in grid.evaluations]


def contents(paths: list[str]) -> str:
    """A hash of what stands in files that the config names. They are no input: neither age nor place matters.

    Raises:
        UserError: one cannot be read.
    """
    try:
        return digest([sha256(shipped(path).read_bytes()) for path in paths])
    except OSError as error:
        raise UserError(f"cannot read {error.filename}, which the config names: {error.strerror}") from None


def unpinned(spec: Mapping[str, Any], dataset: str, places: Sequence[str]) -> list[str]:
    """Hashes of a data set's local source files that the config does not pin, wherever they are found first."""
    folders = [Path("data/sources"), *(Path(place).expanduser() for place in places), shipped("resources")]
    free = [source for source in spec["sources"] if "content" not in source]
    names = [name for source in free for name, pin in source["files"].items() if not pin]
    copies = ([folder / dataset / name for folder in folders] for name in names)
    found = (next(filter(Path.is_file, paths), None) for paths in copies)
    return [sha256(path.read_bytes()) for path in found if path is not None]
