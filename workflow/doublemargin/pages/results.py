"""What the records in ``results/`` hold, for readers of the repository: the page of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from doublemargin.experiment.config import load_config
from doublemargin.experiment.exhibits import accuracy_tables, heading, report_spec
from doublemargin.experiment.grid import Grid
from doublemargin.markdown import table
from doublemargin.records.tidy import Records, read_records
from doublemargin.report import overview as overview_page
from doublemargin.report.build_table import Lookup, build_table
from doublemargin.report.claims import page as verdict_page
from doublemargin.report.claims.judge import Status
from doublemargin.report.make import make_figures
from doublemargin.report.render import markdown

ROOT = Path(__file__).parents[3]

INTRODUCTION = """# Results

Written from the records in `results/`. [Our results and the paper's claims](../discussion.md) discusses these numbers;
[Running experiments](../running.md#in-slots-of-time) says how to add to them.

`make tables` makes the complete tables, with the paper's numbers beside ours, the figures, and every comparison behind
a claim. The tables below show the rows that have been run.

- [Schedule `paper`](#schedule-paper): all of the paper's training steps
- [Schedule `fifth`](#schedule-fifth): a fifth of them, placed otherwise
- [Schedule `short`](#schedule-short): a tenth of them, for what `fifth` does not have yet
- [Schedule `modern`](#schedule-modern): today's methods, beyond the paper
"""


def page() -> str:
    """The page in Markdown."""
    config = load_config(ROOT / "config.yaml")
    parts = [INTRODUCTION]
    for schedule in config["schedules"]:
        spec, folder = report_spec(Grid(config, schedule)), ROOT / "results" / schedule
        if spec["reported"]:
            parts += _schedule(spec | {"reported": ROOT / spec["reported"]}, read_records(folder))
        elif _tradeoffs(spec):
            parts += _schedule(spec, read_records(folder))
    return "\n".join(parts)


def write_figures(out: Path) -> None:
    """Writes the figures that the page shows into ``out/figures``."""
    config = load_config(ROOT / "config.yaml")
    for schedule in config["schedules"]:
        if drawn := _tradeoffs(report_spec(Grid(config, schedule))):
            make_figures(drawn, read_records(ROOT / "results" / schedule), out)


def _tradeoffs(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a report that set its numbers beside published ones."""
    return {name: figure for name, figure in spec["figures"].items() if figure["reference"]}


def _schedule(spec: Mapping[str, Any], records: Records) -> list[str]:
    overview = overview_page.build_overview(spec, records)
    parts = [f"## Schedule `{spec['schedule']}`\n", *(f"> **{warning}**\n" for warning in overview.warnings)]
    parts.append(f"{overview_page.summary(overview)}\n")
    if records.training.empty:
        return parts
    parts += [table(*shown) for shown in overview_page.tables(overview)]
    parts += [f"{note}\n" for note in overview_page.notes(overview)]
    verdict = verdict_page.reach_verdict(spec, records)
    rows = [verdict_page.summary_row(judged) for judged in verdict.judged if judged.status != Status.NOT_RUN]
    if rows:
        parts += ["### The paper's claims\n", f"{verdict.summary} Those with a status:\n"]
        parts.append(table(verdict_page.SUMMARY_HEAD, rows))
    if drawn := _tradeoffs(spec):
        parts += ["### Fronts\n", *(f"![{figure['caption']}](figures/{name}.svg)\n" for name, figure in drawn.items())]
    lookup = Lookup.of(records, None)
    for name, exhibit in accuracy_tables(spec["tables"]).items():
        run = _run(exhibit, records)
        if run["panels"]:
            parts.append(f"### {heading(name)}\n")
            parts.append(markdown.accuracies(build_table(run, lookup)).replace("\n### ", "\n#### "))
    return parts


def _run(exhibit: Mapping[str, Any], records: Records) -> dict[str, Any]:
    """What of a table has been run: its panels and rows with a certified cell."""
    cells = records.certified_accuracy[["spec_hash", "certifier", "norm", "points"]]
    certified = set(cells.itertuples(index=False, name=None))

    def run(panel: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
        return any((model, panel["certifier"], panel["norm"], panel["points"]) in certified for model in row["models"])

    panels = [panel | {"rows": [row for row in panel["rows"] if run(panel, row)]} for panel in exhibit["panels"]]
    for panel in panels:
        shown = {name for row in panel["rows"] for name in (row["method"], f"{row['method']}/{row['eps']}")}
        panel["compare"] = [pair for pair in panel["compare"] if shown.issuperset(pair)]
    # The page warns of a shortened schedule once, not below each table.
    return exhibit | {"panels": [panel for panel in panels if panel["rows"]], "shortened": None}
