"""The page of results: what the records in the repository hold."""

import pandas as pd
from test_config import CONFIG

from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid
from doublemargin.pages.results import _run
from doublemargin.records.tidy import Records


def test_a_table_shows_the_rows_that_were_run():
    grid = Grid(CONFIG, "short")
    table = exhibit_spec(grid, "tables", "table2")
    cell = {"certifier": "cnn-cert-relu", "norm": "linf", "points": 1000}
    cells = pd.DataFrame([cell | {"spec_hash": grid.spec_hash("short/mnist/small/dm/0.3/seed0")}])
    none = pd.DataFrame()
    run = _run(table, Records(none, cells, none, none))
    assert [panel["title"] for panel in run["panels"]] == ["Small CNN MNIST, 4 layer (1000 points)"]
    assert [row["method"] for row in run["panels"][0]["rows"]] == ["dm"]
    assert len(table["panels"]) == 7  # it is left as it was
    assert _run(table, Records(none, cells.iloc[:0], none, none))["panels"] == []


def test_a_comparison_is_shown_where_both_of_its_rows_were_run():
    grid = Grid(CONFIG, "modern")
    table = exhibit_spec(grid, "tables", "modern2")
    pair = ["dm_mtl-alpha0.2", "mtl_ibp-alpha0.2"]
    assert pair in table["panels"][0]["compare"]
    cell, none = {"certifier": "alpha", "norm": "linf", "points": 1000}, pd.DataFrame()
    hashes = [grid.spec_hash(f"modern/mnist/small/{method}/0.3/seed0") for method in [*pair, "dm_elided-weight0.5"]]
    for run, shown in ((hashes, [pair]), (hashes[1:], [])):
        cells = pd.DataFrame([cell | {"spec_hash": model} for model in run])
        assert _run(table, Records(none, cells, none, none))["panels"][0]["compare"] == shown
