"""The page of results: what the records in the repository hold."""

from types import SimpleNamespace

import pandas as pd
import pytest
from test_config import CONFIG

from doublemargin.experiment.exhibits import exhibit_spec, report_spec
from doublemargin.experiment.grid import Grid
from doublemargin.pages.results import _run
from doublemargin.records.tidy import Records, read_records
from doublemargin.report.figures.style import not_run
from doublemargin.report.overview import build_overview


def test_a_table_shows_the_rows_that_were_run():
    grid = Grid(CONFIG, "short")
    table = exhibit_spec(grid, "tables", "table2")
    cell = {"certifier": "cnn-cert-relu", "norm": "linf", "points": 1000}
    cells = pd.DataFrame([cell | {"spec_hash": grid.spec_hash("short/mnist/small/dm/0.3/seed0")}])
    none = pd.DataFrame()
    run = _run(table, Records(none, cells, none, none, none))
    assert [panel["title"] for panel in run["panels"]] == ["Small CNN MNIST, 4 layer (1000 points)"]
    assert [row["method"] for row in run["panels"][0]["rows"]] == ["dm"]
    assert len(table["panels"]) == 7  # it is left as it was
    assert _run(table, Records(none, cells.iloc[:0], none, none, none))["panels"] == []


def test_a_comparison_is_shown_where_both_of_its_rows_were_run():
    grid = Grid(CONFIG, "modern")
    table = exhibit_spec(grid, "tables", "modern2")
    pair = ["dm_mtl-alpha0.2", "mtl_ibp-alpha0.2"]
    assert pair in table["panels"][0]["compare"]
    cell, none = {"certifier": "alpha", "norm": "linf", "points": 1000}, pd.DataFrame()
    hashes = [grid.spec_hash(f"modern/mnist/small/{method}/0.3/seed0") for method in [*pair, "dm_elided-weight0.5"]]
    for run, shown in ((hashes, [pair]), (hashes[1:], [])):
        cells = pd.DataFrame([cell | {"spec_hash": model} for model in run])
        assert _run(table, Records(none, cells, none, none, none))["panels"][0]["compare"] == shown


@pytest.mark.parametrize("schedule", ["paper", "modern"])
def test_a_report_counts_every_cell_once_also_where_a_table_and_a_figure_share_a_name(schedule, tmp_path):
    grid = Grid(CONFIG, schedule)
    total = build_overview(report_spec(grid), read_records(tmp_path)).total
    certified = [cell for job in grid.evaluations if job.kind == "certify" for cell in job.cell_paths()]
    assert (total.models, total.cells) == (len(grid.model_paths()), len(certified))
    assert set(CONFIG["reports"]["paper"]["tables"]) & set(CONFIG["reports"]["paper"]["figures"])


@pytest.mark.parametrize(("count", "told"), [(8, "(a) 0, 1, 2, 3, 4, 5, 6, 7."), (9, "(a) 9 of 9.")])
def test_a_figure_names_what_was_not_run_where_it_is_little(count, told):
    rows = [SimpleNamespace(name=str(i), status="not run") for i in range(count)]
    assert not_run({"(a) ": rows}) == [f"Not run: {told}"]
